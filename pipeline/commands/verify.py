"""`verify`: read every file and compare it with the manifest."""

import argparse
from collections.abc import Mapping

from pipeline.arguments import options
from pipeline.commands.contract import Report
from pipeline.exit_codes import ExitCode

help = "read every file and compare it with the manifest"  # noqa: A001
examples = ("verify jobs/catalog.yaml", "verify dist/images --decode")


def add_options(parser: argparse.ArgumentParser) -> None:
    """A job or its folder, and how closely to look."""
    options.job_or_folder(parser)
    parser.add_argument(
        "--decode", action="store_true", help="decode every picture too, with Pillow, in a process of its own"
    )


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Report:  # noqa: ARG001 - asks nobody
    """Look at each file that the manifest calls saved."""
    from pipeline.arguments.job import source_of
    from pipeline.inspection.verification import verify

    found = verify(source_of(arguments), decode=arguments.decode)
    return Report(ExitCode.DONE if found.sound else ExitCode.INCOMPLETE, found.as_dict, found.lines)
