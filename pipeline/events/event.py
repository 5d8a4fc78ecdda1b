"""What an event is, and who may listen."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, ClassVar

from pipeline.model import Record


class Severity(IntEnum):
    """How much an event matters; the numbers are those of Python's `logging`."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened.

    Attributes:
        severity: How much it matters: what is at least `INFO` is worth a line on a person's screen.
    """

    severity: ClassVar[Severity] = Severity.INFO

    @property
    def message(self) -> str:
        """The event in one line, for a person."""
        raise NotImplementedError

    @property
    def line(self) -> str:
        """The event as a line on a person's screen."""
        return f"warning: {self.message}" if self.severity is Severity.WARNING else self.message

    @property
    def name(self) -> str:
        """The kind of event, for programs: `image_recorded`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    def as_dict(self) -> dict[str, Any]:
        """The event as JSON can hold it."""
        found: dict[str, Any] = {"event": self.name, "level": self.severity.name.lower(), "message": self.message}
        for field in fields(self):
            value = getattr(self, field.name)
            found[field.name] = _plain(value) if isinstance(value, Record) else value
        return found


def _plain(record: Record) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


Listener = Callable[[Event], None]
"""Is told of each event, in the order in which they happen."""


def to_all(listeners: Iterable[Listener]) -> Listener:
    """One listener that tells several, in their order."""
    told = tuple(listeners)

    def tell(event: Event) -> None:
        for listener in told:
            listener(event)

    return tell
