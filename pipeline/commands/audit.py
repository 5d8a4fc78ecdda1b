"""`audit`: the ledger beside the vendor's log, attempt by attempt."""

import argparse
from collections.abc import Mapping

from pipeline.arguments import options
from pipeline.commands.contract import Report
from pipeline.exit_codes import ExitCode

help = "compare the ledger with the vendor's log, attempt by attempt"  # noqa: A001
examples = ("audit jobs/catalog.yaml", "audit jobs/catalog.yaml --json")


def add_options(parser: argparse.ArgumentParser) -> None:
    """A job."""
    options.job(parser)


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Report:
    """Read both, and compare them."""
    from pipeline.arguments.job import load
    from pipeline.inspection.account_audit import audit

    found = audit(load(arguments), environ)
    return Report(ExitCode.DONE if found.balanced else ExitCode.INCOMPLETE, found.as_dict, found.lines)
