"""Money: what may have been billed without an answer, and what the vendor's log says of it."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.events.event import Event, Severity
from pipeline.text import duration, plural


@dataclass(frozen=True, slots=True)
class OutcomeUnknown(Event):
    """Nobody can say yet whether a request was billed."""

    item: str
    said: str

    @property
    def message(self) -> str:
        return f"{self.item}: {self.said}"


@dataclass(frozen=True, slots=True)
class BillingLogAwaited(Event):
    """A request may have been billed; the vendor's log is read for it in so many `seconds`."""

    seconds: float

    @property
    def message(self) -> str:
        return f"a request may have been billed without an answer; the log is read in {duration(self.seconds)}"


@dataclass(frozen=True, slots=True)
class BillingLogUnreadable(Event):
    """The vendor's log can't be read just now; it is asked again."""

    requests: int
    said: str

    @property
    def message(self) -> str:
        return f"whether {plural(self.requests, 'request')} were billed can't be found out now: {self.said}"


@dataclass(frozen=True, slots=True)
class BillingLogMissing(Event):
    """There is no log that could say what was billed."""

    said: str

    @property
    def message(self) -> str:
        return f"nobody can say what was billed: {self.said}"


@dataclass(frozen=True, slots=True)
class EarlierRunsUnresolved(Event):
    """What earlier runs left unresolved stays so for now."""

    said: str

    @property
    def message(self) -> str:
        return f"what earlier runs left unresolved can't be found out now: {self.said}"


@dataclass(frozen=True, slots=True)
class ChargesUnreadable(Event):
    """Whether these images were paid for by a run that the ledger lacks can't be read now."""

    said: str

    @property
    def message(self) -> str:
        return f"whether these images were paid for by a run that the ledger lacks can't be read now: {self.said}"


@dataclass(frozen=True, slots=True)
class ChargesUnrecorded(Event):
    """The account has paid for images of this job by runs that the ledger lacks."""

    severity: ClassVar[Severity] = Severity.WARNING
    said: str

    @property
    def message(self) -> str:
        return f"{self.said}; to buy nothing before that, stop this run now"


@dataclass(frozen=True, slots=True)
class AskingAgain(Event):
    """What was billed without an answer, or may have been, is asked for once more, at its price."""

    item: str
    said: str

    @property
    def message(self) -> str:
        return f"{self.item}: {self.said}; asking again"
