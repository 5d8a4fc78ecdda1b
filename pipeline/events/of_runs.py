"""A run: its beginning, its end, and what stops it."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.events.event import Event, Severity
from pipeline.text import plural


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """The run has begun: there is something to do.

    Attributes:
        run: The run's id.
        job: The job's name.
        endpoint: Where it asks.
        images: Images that it is going to ask for or fetch.
    """

    severity: ClassVar[Severity] = Severity.DEBUG
    run: str
    job: str
    endpoint: str
    images: int

    @property
    def message(self) -> str:
        return f"run {self.run} of {self.job}: {plural(self.images, 'image')} to make or fetch"


@dataclass(frozen=True, slots=True)
class PlanChanged(Event):
    """The vendor's log has told more than the plan knew: another number of images is to be made or fetched."""

    severity: ClassVar[Severity] = Severity.DEBUG
    images: int

    @property
    def message(self) -> str:
        return f"planned again: {plural(self.images, 'image')} to make or fetch"


@dataclass(frozen=True, slots=True)
class Stopping(Event):
    """A signal has asked the run to stop; `grace`: seconds that answers in flight are waited for."""

    signal: str
    grace: float

    @property
    def message(self) -> str:
        return f"{self.signal}: finishing what is in flight (up to {self.grace:.0f} s); once more stops at once"


@dataclass(frozen=True, slots=True)
class RunEnded(Event):
    """The run is over; `reason` is why it ended early, or None."""

    severity: ClassVar[Severity] = Severity.DEBUG
    run: str
    exit_code: int
    reason: str | None

    @property
    def message(self) -> str:
        return f"run {self.run} ended with exit code {self.exit_code}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class JobNoted(Event):
    """Something in the job is right as it was read, and may not be what was meant."""

    said: str

    @property
    def message(self) -> str:
        return self.said


@dataclass(frozen=True, slots=True)
class RunRefused(Event):
    """The run could not begin, or the job is wrong; `problems` are its mistakes, each with its place and cure."""

    severity: ClassVar[Severity] = Severity.ERROR
    exit_code: int
    said: str
    problems: tuple[str, ...]

    @property
    def message(self) -> str:
        return self.said
