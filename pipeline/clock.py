"""The time as it is written down, and the server's clock, as far as its answers have shown it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

CENTURY = 3.2e9
"""Seconds by which no clock is wrong."""

COARSE = 5.0
"""Seconds below which a difference is no skew: a `Date` header has whole seconds, and an answer takes its time."""


class ServerClock:
    """How far the server's clock is ahead of ours.

    The vendor's log has times by the server's clock; where ours is wrong, a request would be looked for in the wrong
    hour. So each request's skew at sending is kept in the ledger.

    Args:
        clock: Our clock, in seconds since the epoch; anybody may set it at any moment.
        monotonic: Seconds that nobody sets; it may stand still while the machine is suspended.
    """

    def __init__(self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._heard: tuple[float, float, float] | None = None

    def hear(self, date: str | None) -> None:
        """Take note of the `Date` header of an answer that has just come."""
        try:
            ahead = parsedate_to_datetime(date or "").timestamp() - self._clock()
        except (ValueError, TypeError, OverflowError):
            return
        if abs(ahead) < CENTURY:
            self._heard = (ahead if abs(ahead) > COARSE else 0.0, self._clock(), self._monotonic())

    @property
    def skew(self) -> float | None:
        """Seconds by which the server's clock is ahead of ours; None where that is not known.

        It is not known before the first answer, nor after a step of our clock or a suspension of the machine: one
        clock has then moved without the other, and which of them is right only the next answer tells.
        """
        if self._heard is None:
            return None
        ahead, clock, monotonic = self._heard
        moved = (self._clock() - clock) - (self._monotonic() - monotonic)
        return ahead if abs(moved) <= COARSE else None

    def now(self) -> float:
        """The time by the server's clock, or by ours where the server's is not known; seconds since the epoch."""
        return self._clock() + (self.skew or 0.0)


def utc_now() -> str:
    """The time, RFC 3339 in UTC, to the millisecond."""
    return utc(time.time())


def utc(seconds: float) -> str:
    """A moment in seconds since the epoch, in the same form."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
