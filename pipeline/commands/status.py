"""`status`: what the manifest says: counts, tokens, dollars, failures by cause; and what may have been lost."""

import argparse
from collections.abc import Mapping

from pipeline.arguments import options
from pipeline.arguments.invocation import retry_command
from pipeline.commands.contract import Report
from pipeline.exit_codes import ExitCode

help = "show what the manifest says: counts, tokens, dollars, failures by cause"  # noqa: A001
examples = ("status jobs/catalog.yaml", "status dist/images --json")


def add_options(parser: argparse.ArgumentParser) -> None:
    """A job or its folder."""
    options.job_or_folder(parser)


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Report:  # noqa: ARG001 - asks nobody
    """Read the manifest, and the ledger beside it."""
    from pipeline.arguments.job import source_of
    from pipeline.inspection.standing import status

    found = status(source_of(arguments))
    retry = "run JOB --retry-failed" if arguments.job.is_dir() else retry_command(arguments)
    return Report(ExitCode.DONE, found.as_dict, lambda: found.lines(retry))
