"""`manifest`: the manifest as the ledger has it, printed, or written anew."""

import argparse
from collections.abc import Mapping
from typing import Any

from pipeline.arguments import options
from pipeline.commands.contract import Report
from pipeline.exit_codes import ExitCode

help = "print the manifest as the ledger has it, or write it anew"  # noqa: A001
examples = ("manifest jobs/catalog.yaml", "manifest jobs/catalog.yaml --rebuild")


def add_options(parser: argparse.ArgumentParser) -> None:
    """A job, and whether to write."""
    options.job(parser)
    parser.add_argument("--rebuild", action="store_true", help="write manifest.jsonl anew from the ledger")


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Report:
    """Print it line by line, as it stands in the file; or write the file."""
    from pipeline.arguments.job import load
    from pipeline.inspection.rebuild import rebuild, shown
    from pipeline.manifest.file import as_dict

    job = load(arguments)
    if arguments.rebuild:
        found = rebuild(job, environ)
        return Report(ExitCode.DONE, found.as_dict, found.lines)

    def records() -> Mapping[str, Any]:
        return {"records": [as_dict(record) for record in shown(job, environ)]}

    return Report(ExitCode.DONE, records, lambda: map(_line, shown(job, environ)))


def _line(record: Any) -> bytes:
    from pipeline.manifest.file import to_line

    return to_line(record)
