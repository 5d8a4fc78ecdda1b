"""The images that a job wants and that are not there: how many, for which causes, which ones, and what helps."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pipeline.errors import GiveUp
from pipeline.model import Record
from pipeline.plan.decision import Selection
from pipeline.text import grouped, one_line, printable

SHOWN = 10
"""Failed images that are named; the others are counted."""

LONGEST = 200
"""Characters of an error that are shown."""

RETRY = "--retry-failed"


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that has failed.

    Attributes:
        id: Id of its item.
        index: Which of the item's images it is, from 0.
        cause: One of `GiveUp.CAUSES`.
        error: What happened.
    """

    id: str
    index: int
    cause: str
    error: str | None

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        return {"id": self.id, "index": self.index, "cause": self.cause, "error": self.error}

    def line(self) -> str:
        """The same as a person reads it."""
        which = f" (image {self.index + 1})" if self.index else ""
        return f"    {printable(self.id)}{which}: {self.cause}: {one_line(self.error or 'no reason is known', LONGEST)}"


class RecordCounts:
    """Counts the records of a job's images: what is there, what is not, and the first failures by name.

    Attributes:
        counted: Images by `saved`, or else by cause.
        missing: Images that are not there, of those that the selection chose.
        selected: Of these, the ones that have failed, by cause; those that are only pending are not failures.
        failures: The first of these, `SHOWN` at most.
    """

    def __init__(self, selection: Selection | None = None, tried: Collection[tuple[str, int]] = ()) -> None:
        """`tried`: id and index of the images that the run tried in vain; where it has a limit, it chose no others."""
        self.counted: Counter[str] = Counter()
        self.missing = 0
        self.selected: Counter[str] = Counter()
        self.failures: list[Failure] = []
        self._selection = selection or Selection()
        self._tried = tried

    def add(self, record: Record) -> None:
        """Count one image."""
        if record.status == "saved":
            self.counted["saved"] += 1
            return
        cause = record.cause or "unknown"
        self.counted[cause] += 1
        if not self._chose(record):
            return
        self.missing += 1
        if cause == "pending":
            return
        self.selected[cause] += 1
        if len(self.failures) < SHOWN:
            self.failures.append(Failure(record.id, record.index, cause, record.error))

    def _chose(self, record: Record) -> bool:
        if self._selection.limit is not None:
            return (record.id, record.index) in self._tried
        only = self._selection.only
        return not only or any(fnmatchcase(record.id, pattern) for pattern in only)

    @property
    def failed(self) -> dict[str, int]:
        """Images that have failed, by cause; `pending` ones are not counted here."""
        return {cause: n for cause, n in sorted(self.counted.items()) if cause not in ("saved", "pending")}

    def clear(self) -> None:
        """Begin anew."""
        self.counted.clear()
        self.selected.clear()
        self.failures.clear()
        self.missing = 0


def failure_lines(failed: Mapping[str, int], failures: Sequence[Failure], retry: str) -> list[str]:
    """The counted causes, the named images and the cure, as a person reads them.

    Args:
        failed: Images by cause.
        failures: Some of them, to be named.
        retry: The command that asks again for those that the next run leaves alone.
    """
    if not failed:
        return []
    lines = [f"  failed: {grouped(n)} {cause} — {GiveUp.CAUSES.get(cause, cause)}" for cause, n in failed.items()]
    lines += [failure.line() for failure in failures]
    total = sum(failed.values())
    if total > len(failures):
        lines.append(f"    and {grouped(total - len(failures))} more")
    again = _sum(failed, GiveUp.AGAIN)
    if again:
        lines.append(f"  the next run tries {_so_many(again, total)} again by itself")
    if again < total:
        lines.append(f"  the next run leaves {_so_many(total - again, total)} alone: change the prompt, or ask again:")
        lines.append(f"    {retry}")
    return lines


def _sum(failed: Mapping[str, int], causes: Iterable[str]) -> int:
    return sum(failed.get(cause, 0) for cause in causes)


def _so_many(some: int, total: int) -> str:
    if some < total:
        return f"{grouped(some)} of them"
    return "it" if total == 1 else "them"
