"""`python -m bench`: measure, print the tables, write `bench/RESULTS.md`."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from bench import field, ground, machine, report
from bench.report import Table
from bench.settings import Settings

WORKLOADS = ("api", "download", "whole", "rate", "scale", "start")
SIZES = (10_000, 100_000, 1_000_000)
LIBRARIES = ("aiohttp", "anyio", "pydantic", "pyyaml", "tenacity")


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is chosen.

    Returns:
        The exit code.
    """
    arguments = _parser().parse_args(argv)
    sizes = SIZES[:1] if arguments.quick else tuple(size for size in SIZES if size <= arguments.largest)
    settings = Settings(arguments.rounds, arguments.quick, sizes, _note)
    try:
        for name in arguments.only or WORKLOADS:
            _measure(name, settings, arguments)
    finally:
        ground.clear()
    return 0


def _measure(name: str, settings: Settings, arguments: argparse.Namespace) -> None:
    _note(f"{name} …")
    tables: Sequence[Table] = import_module(f"bench.workloads.{name}").run(settings)
    for table in tables:
        print("\n" + "\n".join(table.lines()) + "\n", flush=True)
    _write(arguments.out, name, report.section(tables, _how(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure this program against its peers.")
    parser.add_argument("--only", action="append", choices=WORKLOADS, help="one workload; may be repeated")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds of each contest (default 3)")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, to try the benchmark itself")
    parser.add_argument("--largest", type=int, default=SIZES[-1], metavar="N", help="items of the largest job")
    parser.add_argument("--out", type=Path, default=machine.ROOT / "bench" / "RESULTS.md", help="where to write")
    return parser


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _how(arguments: argparse.Namespace) -> str:
    quick = ", a tenth of everything" if arguments.quick else ""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC{machine.commit()}, rounds: {arguments.rounds}{quick}."


def _write(path: Path, name: str, section: str) -> None:
    """Put a workload's section into the results; the others stay as they are."""
    facts = [
        *machine.description(),
        ("this program", ", ".join(f"{name} {version(name)}" for name in ("image-pipeline", *LIBRARIES))),
        ("peers", ", ".join(field.versions())),
    ]
    found = report.sections(path.read_text()) if path.exists() else {}
    found[name] = section
    ordered = {name: found[name] for name in WORKLOADS if name in found}
    path.write_text(report.document(ordered, facts))


if __name__ == "__main__":
    sys.exit(main())
