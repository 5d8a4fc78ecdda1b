"""Options that several commands have: each function adds a group of them to a command's parser."""

import argparse
from pathlib import Path


def job(parser: argparse.ArgumentParser) -> None:
    """A job file, and what stands in place of its own words."""
    parser.add_argument("job", type=Path, metavar="JOB", help="the job file, such as jobs/catalog.yaml")
    parser.add_argument("--endpoint", metavar="E", help="aimlapi, sandbox, or a base URL; replaces the job's own")
    _output(parser)


def job_or_folder(parser: argparse.ArgumentParser) -> None:
    """A job file, or its output folder alone."""
    parser.add_argument("job", type=Path, metavar="JOB", help="the job file, or its output folder")
    _output(parser)


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=_folder, metavar="DIR", help="the output folder; replaces the job's own")
    parser.add_argument("--json", action="store_true", help="print JSON, as the only thing on standard output")


def selection(parser: argparse.ArgumentParser) -> None:
    """Which part of the job."""
    parser.add_argument(
        "--only", action="append", default=[], metavar="ID-GLOB", help="only items whose id matches; may be repeated"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="make at most N images")
    parser.add_argument("--force", action="store_true", help="make them again even where they are there; costs money")
    parser.add_argument("--retry-failed", action="store_true", help="ask again for items that failed for good")
    parser.add_argument(
        "--placeholders", action="store_true", help="let the sandbox's pictures take the names of paid ones"
    )


def budget(parser: argparse.ArgumentParser, what: str) -> None:
    """How much it may cost; `what` ends the sentence "tokens that …"."""
    parser.add_argument("--budget-tokens", type=positive, metavar="N", help=f"tokens that {what}")
    parser.add_argument("--budget-usd", type=float, metavar="N", help="the same in US dollars")


def positive(text: str) -> int:
    """A whole number above 0.

    Raises:
        ArgumentTypeError: It is something else.
    """
    if not (text.isascii() and text.isdigit() and int(text[:18])):
        raise argparse.ArgumentTypeError(f"it must be a whole number above 0, found {text!r}")
    return int(text)


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: name a folder (is a variable not set?)")
    return Path(text)
