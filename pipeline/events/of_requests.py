"""Requests: what is asked of the API, and what it says."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.events.event import Event, Severity
from pipeline.text import duration, plural


@dataclass(frozen=True, slots=True)
class EndpointNoted(Event):
    """Something about the endpoint that the user should know."""

    said: str

    @property
    def message(self) -> str:
        return self.said


@dataclass(frozen=True, slots=True)
class KeyUnencrypted(Event):
    """The key goes over a connection that anybody on the way can read."""

    severity: ClassVar[Severity] = Severity.WARNING
    base: str

    @property
    def message(self) -> str:
        return f"the key goes to {self.base} unencrypted; use https"


@dataclass(frozen=True, slots=True)
class RequestSent(Event):
    """A request is about to leave: from now on it may cost something.

    Attributes:
        attempt: The id of the attempt, as the vendor's log has it too.
        item: The id of the item.
        images: Images that it asks for.
    """

    severity: ClassVar[Severity] = Severity.DEBUG
    attempt: str
    item: str
    images: int

    @property
    def message(self) -> str:
        return f"{self.item}: asking for {plural(self.images, 'image')}"


@dataclass(frozen=True, slots=True)
class AnswerPaid(Event):
    """A paid answer is in the ledger, and has been understood.

    Attributes:
        attempt: The id of the attempt.
        item: The id of the item.
        images: Pictures that it names or holds.
        tokens: What it cost, None where it does not say.
    """

    severity: ClassVar[Severity] = Severity.DEBUG
    attempt: str
    item: str
    images: int
    tokens: int | None

    @property
    def message(self) -> str:
        return f"{self.item}: paid for {plural(self.images, 'image')}"


@dataclass(frozen=True, slots=True)
class RequestRefused(Event):
    """A request was refused and cost nothing; `status` is that of HTTP."""

    severity: ClassVar[Severity] = Severity.DEBUG
    attempt: str
    item: str
    status: int
    said: str

    @property
    def message(self) -> str:
        return f"{self.item}: {self.said}"


@dataclass(frozen=True, slots=True)
class PauseAsked(Event):
    """The API asks everybody to wait; `seconds` from now."""

    seconds: float
    said: str

    @property
    def message(self) -> str:
        return f"the API asks for a pause of {duration(self.seconds)} ({self.said})"


@dataclass(frozen=True, slots=True)
class ProviderOut(Event):
    """The provider is out for everybody, or still is; `left`: seconds until the run gives up."""

    said: str
    left: float

    @property
    def message(self) -> str:
        return f"the provider is unavailable ({self.said}); it is probed now and then, for up to {duration(self.left)}"


@dataclass(frozen=True, slots=True)
class ConnectionsCutOff(Event):
    """Something on the way ends connections that wait long; `seconds`: after how long."""

    number: int
    seconds: float

    @property
    def message(self) -> str:
        return (
            f"{self.number} requests were cut off after about {duration(self.seconds)} each: something between this "
            "machine and the API ends connections that wait so long; raise its idle time-out, or go around it"
        )
