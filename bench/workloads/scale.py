"""Scale: from ten thousand items to a million. Does the cost grow with them, and the memory not?"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import jobs, report
from bench.assignment import Assignment
from bench.ground import empty_folder
from bench.process import Child, Usage, measure, one_line
from bench.report import Table
from bench.settings import Settings
from bench.upstream.api import Behaviour
from bench.upstream.control import Upstream

IN_FLIGHT = 64

NOTES = (
    "*First request* is the time from the start of `run` on an empty folder until the server sees a request. *No-op* "
    "is `run` on a folder in which everything is there, after a change to the job; *again* is that without a change. "
    "`yaml` has its prompts in the job file, one mapping each; `jsonl` and `csv` in a file beside it. The µs are of "
    "CPU time for each item.",
)


@dataclass(slots=True)
class Laps:
    """The rounds of one job in one form."""

    plan: list[Usage] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    noop: list[Usage] = field(default_factory=list)
    again: list[Usage] = field(default_factory=list)
    refused: str = ""


def run(settings: Settings) -> Sequence[Table]:
    """The workload's tables."""
    header = (
        "items",
        "form",
        "plan",
        "µs",
        "peak MB",
        "first request",
        "no-op",
        "µs",
        "peak MB",
        "again",
        "µs",
        "peak MB",
    )
    rows: list[Sequence[str]] = []
    with Upstream() as upstream:
        for items in settings.sizes:
            rows += _size(items, upstream, settings)
    return [Table("Scale", header, rows, NOTES)]


def _size(items: int, upstream: Upstream, settings: Settings) -> list[Sequence[str]]:
    found = {form: Laps() for form in jobs.FORMS}
    with empty_folder() as folder:
        work = Assignment("both", upstream.base, upstream.pictures, items, IN_FLIGHT, str(folder / "finished"))
        paths = {form: jobs.write(folder / form, work, form) for form in jobs.FORMS}
        filled = measure([sys.executable, "-m", "bench.peers.program_fill", str(paths["jsonl"])], folder / "log")
        if filled.exit_code:
            raise RuntimeError(f"the finished job could not be made: {filled.said}")
        for _ in range(settings.rounds):
            for form, laps in found.items():
                if not laps.refused:
                    _lap(paths[form], folder, upstream, laps)
                    settings.note(f"  {items:,} {form}: {' | '.join(_row(items, form, laps)[2:])}")
    return [_row(items, form, laps) for form, laps in found.items()]


def _lap(job: Path, folder: Path, upstream: Upstream, laps: Laps) -> None:
    command = [sys.executable, "-m", "pipeline"]
    fresh = ["--output", str(folder / "fresh")]
    plan = measure([*command, "plan", str(job), *fresh], folder / "log")
    if plan.exit_code:
        laps.refused = one_line(plan.said)
        return
    laps.plan.append(plan)
    laps.first.append(_first_request([*command, "run", str(job), "--quiet", *fresh], folder, upstream))
    for found in (laps.noop, laps.again):
        noop = measure([*command, "run", str(job), "--quiet"], folder / "log")
        if noop.exit_code or upstream.books()["accepted"]:
            raise RuntimeError(f"a run with nothing to do did something: {noop.said}")
        found.append(noop)


def _first_request(command: Sequence[str], folder: Path, upstream: Upstream) -> float:
    """Seconds from the start of a run to its first request; it is ended then."""
    upstream.behave(Behaviour(latency=60.0))
    child = Child(command, folder / "log")
    first = None
    while first is None and child.runs():
        time.sleep(0.02)
        first = upstream.books()["first"]
    child.kill()
    said = child.wait().said
    upstream.behave(Behaviour())
    if first is None:
        raise RuntimeError(f"no request was sent: {said}")
    return float(first) - child.started


def _row(items: int, form: str, laps: Laps) -> Sequence[str]:
    if laps.refused:
        return (f"{items:,}", form, f"refused: {laps.refused}", *["-"] * 9)
    return (
        f"{items:,}",
        form,
        *_usage(items, laps.plan),
        report.seconds(median(laps.first)),
        *_usage(items, laps.noop),
        *_usage(items, laps.again),
    )


def _usage(items: int, usages: Sequence[Usage]) -> Sequence[str]:
    return (
        report.seconds(median(usage.seconds for usage in usages)),
        f"{median(usage.cpu for usage in usages) / items * 1e6:.0f}",
        f"{median(usage.peak for usage in usages) / 1e6:.0f}",
    )
