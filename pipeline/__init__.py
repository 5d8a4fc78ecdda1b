"""The build system for generated images: make only what is missing, pay once, never call broken work done.

The same as the command line does, from Python:

    from pipeline import load_job, run

    job = load_job("jobs/catalog.yaml")
    summary = run(job)
    print(summary.saved, summary.tokens_used)

Everything is loaded when it is first used, so that importing the package costs next to nothing.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipeline.version import __version__

if TYPE_CHECKING:
    from pipeline.errors import PipelineError, StopRun, UsageError
    from pipeline.events import Event, Listener
    from pipeline.inspection.account_audit import Audit, audit
    from pipeline.inspection.forecast import Plan, plan
    from pipeline.inspection.standing import Status, status
    from pipeline.inspection.verification import Verification, verify
    from pipeline.job import expand
    from pipeline.job import load as load_job
    from pipeline.job.schema import schema as job_schema
    from pipeline.model import Item, Job, Limits, Record
    from pipeline.plan.decision import Decision, Selection
    from pipeline.report.failures import Failure
    from pipeline.report.summary import MaybePaid, Summary
    from pipeline.run.session import run, run_async


__all__ = [
    "Audit",
    "Decision",
    "Event",
    "Failure",
    "Item",
    "Job",
    "Limits",
    "Listener",
    "MaybePaid",
    "PipelineError",
    "Plan",
    "Record",
    "Selection",
    "Status",
    "StopRun",
    "Summary",
    "UsageError",
    "Verification",
    "__version__",
    "audit",
    "expand",
    "job_schema",
    "load_job",
    "plan",
    "run",
    "run_async",
    "status",
    "verify",
]

_HOMES = {
    "Audit": "inspection.account_audit",
    "Decision": "plan.decision",
    "Event": "events",
    "Failure": "report.failures",
    "Item": "model",
    "Job": "model",
    "Limits": "model",
    "Listener": "events",
    "MaybePaid": "report.summary",
    "PipelineError": "errors",
    "Plan": "inspection.forecast",
    "Record": "model",
    "Selection": "plan.decision",
    "Status": "inspection.standing",
    "StopRun": "errors",
    "Summary": "report.summary",
    "UsageError": "errors",
    "Verification": "inspection.verification",
    "audit": "inspection.account_audit",
    "expand": "job",
    "job_schema": "job.schema:schema",
    "load_job": "job:load",
    "plan": "inspection.forecast",
    "run": "run.session",
    "run_async": "run.session",
    "status": "inspection.standing",
    "verify": "inspection.verification",
}


class _Package(ModuleType):
    """This package. A module in it that is called like one of its functions never takes that function's place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home, _, original = _HOMES[name].partition(":")
    return getattr(import_module(f"{__name__}.{home}"), original or name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
