"""Images: saved, or failed for this run."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.events.event import Event, Severity
from pipeline.model import Record


@dataclass(frozen=True, slots=True)
class ImageRecorded(Event):
    """An image is saved, or has failed for this run: its line of the manifest."""

    severity: ClassVar[Severity] = Severity.DEBUG
    record: Record

    @property
    def message(self) -> str:
        return f"{self.record.status}: {self.record.path or self.record.id}"


@dataclass(frozen=True, slots=True)
class ImageFailed(Event):
    """An image can't be had in this run; one that stands already stays as it is.

    Attributes:
        image: The name of its file, without the suffix.
        cause: The cause, as the manifest has it.
        said: What happened.
    """

    severity: ClassVar[Severity] = Severity.ERROR
    image: str
    cause: str
    said: str

    @property
    def message(self) -> str:
        return f"failed ({self.cause}): {self.image}: {self.said}"
