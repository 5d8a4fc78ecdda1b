"""`run`: make what is missing or changed, and nothing else."""

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.arguments import options
from pipeline.arguments.invocation import retry_command
from pipeline.commands.contract import Report
from pipeline.text import printable

if TYPE_CHECKING:
    from pipeline.report.summary import Summary

help = "make the images that are missing or changed, and nothing else"  # noqa: A001 - the word that all commands use
examples = (
    "run jobs/catalog.yaml",
    "run jobs/catalog.yaml --endpoint sandbox --output /tmp/try",
    "run jobs/catalog.yaml --only 'hero*' --budget-usd 5",
    "run jobs/catalog.yaml --retry-failed",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What to make, how fast, for how much, and what to say of it."""
    options.job(parser)
    options.selection(parser)
    parser.add_argument("--concurrency", type=options.positive, metavar="N", help="requests in flight at once, at most")
    parser.add_argument("--requests-per-minute", type=float, metavar="N", help="requests sent in a minute, at most")
    options.budget(parser, "this run may spend")
    parser.add_argument("--quiet", action="store_true", help="say nothing but what has failed, on standard error")
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="json: each event of the run as a line of JSON on standard error, in place of the progress",
    )


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Report:
    """Make it; where nothing can have changed since the last run, find that out without reading the job."""
    summary = _unchanged(arguments, environ) or _made(arguments, environ)
    failed = sum(summary.selected_failed.values())
    retry = retry_command(arguments, summary.failures, failed) if failed else ""
    # Where it can't be heard, what the run came to stands all the same.
    return Report(
        summary.exit_code,
        summary.as_dict,
        lambda: [] if arguments.quiet else summary.lines(retry),
        complaints=tuple(_complaints(arguments, summary, retry)),
        needed=False,
    )


def _complaints(arguments: argparse.Namespace, summary: "Summary", retry: str) -> list[str]:
    if arguments.log_format == "json":
        return []
    found = list(summary.trouble(retry)) if arguments.quiet else []
    return [*found, f"error: {printable(summary.reason)}"] if summary.reason else found


def _unchanged(arguments: argparse.Namespace, environ: Mapping[str, str]) -> "Summary | None":
    """What a run without anything to do comes to; None where something may have to be done."""
    if arguments.only or arguments.limit or arguments.force or arguments.retry_failed or arguments.placeholders:
        return None
    from pipeline.run.up_to_date import RunRequest, unchanged

    return unchanged(RunRequest(arguments.job, arguments.endpoint, arguments.output), environ)


def _made(arguments: argparse.Namespace, environ: Mapping[str, str]) -> "Summary":
    from pipeline.arguments.job import limits_of, load, selection_of
    from pipeline.listeners.json_lines import JsonLines
    from pipeline.listeners.progress import Progress, mode_for
    from pipeline.run import session

    job = load(arguments, limits_of(arguments))
    as_json = arguments.log_format == "json"
    mode = mode_for(sys.stderr, quiet=arguments.quiet or as_json)
    return session.run(
        job,
        selection=selection_of(arguments),
        environ=environ,
        progress=lambda total: Progress(total, mode=mode),
        listeners=[JsonLines(sys.stderr)] if as_json else [],
    )
