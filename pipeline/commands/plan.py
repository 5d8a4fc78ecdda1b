"""`plan`: what a run would make and why, and what it would cost. It sends nothing and changes nothing."""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.arguments import options
from pipeline.commands.contract import Report
from pipeline.exit_codes import ExitCode

help = "show what a run would make, why, and what it would cost; sends nothing"  # noqa: A001
examples = ("plan jobs/catalog.yaml", "plan jobs/catalog.yaml --only 'hero*' --force", "plan jobs/catalog.yaml --json")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The same choice as of `run`."""
    options.job(parser)
    options.selection(parser)
    options.budget(parser, "the run might spend")


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Report:
    """Decide about each item; a person sees the decisions as they are made."""
    from pipeline.arguments.job import limits_of, load, selection_of
    from pipeline.inspection.forecast import Plan, decision_dict, decision_lines, plan

    job, selection = load(arguments, limits_of(arguments)), selection_of(arguments)

    def as_dict() -> Mapping[str, Any]:
        *decisions, total = plan(job, environ, selection)
        assert isinstance(total, Plan)
        return {
            **total.as_dict(),
            "items": [decision_dict(step) for step in decisions if not isinstance(step, Plan)],
        }

    def lines() -> Iterator[str]:
        for step in plan(job, environ, selection):
            yield from step.lines() if isinstance(step, Plan) else decision_lines(step)

    return Report(ExitCode.DONE, as_dict, lines)
