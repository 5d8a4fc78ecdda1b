"""From the words of a command line to the job, the part of it and the limits that they mean."""

import argparse
import gc
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import streams
from pipeline.text import printable

if TYPE_CHECKING:
    from pipeline.model import Job
    from pipeline.plan.decision import Selection


def load(arguments: argparse.Namespace, limits: Mapping[str, Any] | None = None) -> "Job":
    """Read the job that a command is about, and say what its author should know.

    Args:
        arguments: The command's.
        limits: Limits in place of the job's own.

    Raises:
        UsageError: Something is wrong; its `problems` are all that was found.
    """
    from pipeline.job import load as read

    # What is imported by now stays, and neither a job nor a run makes anything that refers to itself: the collector
    # need hardly look. With its own thresholds it takes a third of the time that a long job takes to read.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    endpoint = getattr(arguments, "endpoint", None)
    job = read(arguments.job, endpoint=endpoint, output=arguments.output, limits=limits)
    _tell(job.notes, arguments)
    return job


def _tell(notes: tuple[str, ...], arguments: argparse.Namespace) -> None:
    if getattr(arguments, "log_format", "text") == "json":
        from pipeline.events import JobNoted
        from pipeline.listeners.json_lines import JsonLines

        log = JsonLines(sys.stderr)
        for note in notes:
            log(JobNoted(note))
    elif not getattr(arguments, "quiet", False):
        for note in notes:
            streams.say(f"note: {printable(note)}")


def source_of(arguments: argparse.Namespace) -> "Job | Path":
    """What `status` and `verify` are about: a job, or an output folder alone."""
    if arguments.job.is_dir():
        return Path(arguments.output or arguments.job)
    return load(arguments)


def limits_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The limits that the command line gives in place of the job's."""
    names = ("concurrency", "requests_per_minute", "budget_tokens", "budget_usd")
    given = {name: getattr(arguments, name, None) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def selection_of(arguments: argparse.Namespace) -> "Selection":
    """The part of the job that the command line names."""
    from pipeline.plan.decision import Selection

    return Selection(
        only=tuple(arguments.only),
        limit=arguments.limit,
        force=arguments.force,
        retry_failed=arguments.retry_failed,
        placeholders=arguments.placeholders,
    )
