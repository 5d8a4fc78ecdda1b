"""The mistakes found in a job, gathered so that all are shown at once."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.errors import Problem, UsageError
from pipeline.model import Place

MOST = 1000
"""Mistakes after which a job is not read on."""


class WrittenAt(Protocol):
    """Something that was written somewhere: the job file, an entry of it, or a row of an included file."""

    def place(self, *path: str | int) -> Place:
        """Where the value at this path was written; its nearest surroundings where it was not."""
        ...

    def key_place(self, *path: str | int) -> Place:
        """Where the key itself was written, the last of this path."""
        ...

    def name(self, *path: str | int) -> str:
        """The path as an error shows it: `prompts[2].aspect_ratios[0]`."""
        ...


class Enough(Exception):
    """There is no use in reading on: nothing more can be told, or there are more mistakes than anyone would read."""


@dataclass(slots=True)
class Diagnostics:
    """The mistakes so far, each once.

    Attributes:
        problems: What is wrong.
        notes: What is right as it was read, and may not be what was meant.
    """

    problems: dict[Problem, None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Remember what the user should know though it is not a mistake."""
        self.notes[text] = None

    def add(self, place: Place, message: str, cure: str) -> None:
        """Note one.

        Raises:
            Enough: There are more than anyone would read.
        """
        self.problems[Problem(place, message, cure)] = None
        if len(self.problems) >= MOST:
            raise Enough

    def found(self, path: Path) -> None:
        """End here if there are any.

        Raises:
            UsageError: With all of them, the job file's own first, each file's in its order.
        """
        if self.problems:
            raise usage_error(path, list(self.problems))


def usage_error(path: Path, problems: list[Problem]) -> UsageError:
    """The error that shows these problems of a job."""
    job = str(path)

    def order(problem: Problem) -> tuple[bool, str, int, int]:
        place = problem.place
        return place.file != job, place.file, place.line or 0, place.column or 0

    count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
    more = " and perhaps more" if len(problems) >= MOST else ""
    return UsageError(f"{job}: {count}{more}", sorted(problems, key=order))


def dotted(*path: str | int) -> str:
    """A path as an error shows it: `prompts[2].aspect_ratios[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
