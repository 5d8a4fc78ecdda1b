"""Start: what a command takes that has next to nothing to do, against the imports that it can't do without."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import jobs, machine, report
from bench.assignment import Assignment
from bench.ground import empty_folder
from bench.process import Usage, measure, one_line
from bench.report import Table
from bench.settings import Settings

TIMES = 10
"""Of each command, in each round."""

IMPORTS = "import argparse, yaml; from pydantic import BaseModel"

NOTES = (
    f"*The imports* is `python -c '{IMPORTS}'`. Medians of {TIMES} times as many runs as there are rounds, one command "
    "after the other. The last column says whether the command loaded aiohttp.",
)


@dataclass(slots=True)
class Command:
    """A command line, and what it took each time."""

    name: str
    arguments: Sequence[str]
    usages: list[Usage] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """From its start to its end: the median."""
        return median(usage.seconds for usage in self.usages)


def run(settings: Settings) -> Sequence[Table]:
    """The workload's tables."""
    with empty_folder() as folder:
        ten, thousand = _job(folder / "ten", 10), _job(folder / "thousand", 1000)
        measure([sys.executable, "-m", "bench.peers.program_fill", thousand], folder / "log")
        commands = [
            Command("the imports", ["-c", IMPORTS]),
            Command("a bare interpreter", ["-c", "pass"]),
            Command("--help", ["-m", "pipeline", "--help"]),
            Command("plan of 10 items", ["-m", "pipeline", "plan", ten]),
            Command("no-op run of 1,000 items", ["-m", "pipeline", "run", thousand, "--quiet"]),
        ]
        for _ in range(settings.rounds * TIMES):
            for command in commands:
                command.usages.append(measure([sys.executable, *command.arguments], folder / "log"))
        header = ("", "time", "x the imports", "CPU", "peak MB", "spread", "aiohttp")
        rows = [_row(command, commands[0]) for command in commands]
    return [Table("Start", header, rows, NOTES)]


def _job(folder: Path, items: int) -> str:
    work = Assignment("both", "http://127.0.0.1:9", "", items, 8, str(folder / "pictures"))
    return str(jobs.write(folder / "job", work))


def _row(command: Command, imports: Command) -> Sequence[str]:
    failed = [usage for usage in command.usages if usage.exit_code]
    if failed:
        return (f"{command.name}: {one_line(failed[0].said)}", *["-"] * 6)
    times = sorted(usage.seconds for usage in command.usages)
    quarter = len(times) // 4
    return (
        command.name,
        report.seconds(command.seconds),
        f"{command.seconds / imports.seconds:.2f}",
        report.seconds(median(usage.cpu for usage in command.usages)),
        f"{median(usage.peak for usage in command.usages) / 1e6:.0f}",
        f"{(times[-1 - quarter] - times[quarter]) / command.seconds:.0%}",
        "LOADED" if _loads_aiohttp(command) else "no",
    )


def _loads_aiohttp(command: Command) -> bool:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command.arguments],
        cwd=machine.ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return any(line.endswith(" aiohttp") for line in done.stderr.splitlines())
