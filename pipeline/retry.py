"""When to try again, and when to stop: tenacity's room.

Only what can succeed and was not paid for is tried again freely. What may have been paid for is tried once more at
most. A 429 is no attempt: its pause is everybody's (`pace`), so nobody backs off for it alone.
"""

import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from pipeline.errors import (
    DownloadBroken,
    MaybeBilled,
    NoPicture,
    NotSent,
    ProviderUnavailable,
    RateLimited,
    TryAgain,
    Unavailable,
)
from pipeline.model import Limits
from pipeline.text import duration

BACKOFF_BASE = 1.0
"""Seconds that the first backoff may take, at most; each further one may take twice as long."""

BACKOFF_CAP = 60.0
"""Seconds that any backoff may take, at most."""

RETRY_AFTER_CAP = 3600.0
"""Seconds beyond which a `Retry-After` is taken as absurd, and as this."""

FETCHES = 6
"""Downloads of one picture, at most."""

FETCHES_OF_GONE = 3
"""Downloads of a picture of which the server says that it is not there, at most: some need a moment to be there."""

ONCE_MORE = (MaybeBilled, NoPicture)
"""What may have been paid for: tried again once, never twice."""

Sleep = Callable[[float], Awaitable[None]]

_SECONDS = re.compile(r"[0-9]{1,9}")


def parse_retry_after(value: str | None, date: str | None = None) -> float | None:
    """The seconds that a `Retry-After` header asks for, capped at `RETRY_AFTER_CAP`.

    Seconds or an HTTP date (RFC 9110, 10.2.3). A date is read against the answer's own `Date`, so that no clock need
    be right.

    Returns:
        At least 0; None where there is no such header, or it can't be read.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and _SECONDS.fullmatch(value):
        return min(float(value), RETRY_AFTER_CAP)
    try:
        until, now = parsedate_to_datetime(value), parsedate_to_datetime(date or "")
        seconds = (until - now).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_CAP)


def full_jitter(number: int, rng: random.Random) -> float:
    """Seconds to wait after failure `number`, counted from 1: anything from 0 to an exponentially growing bound.

    Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    return rng.uniform(0.0, min(BACKOFF_CAP, BACKOFF_BASE * 2.0 ** min(number - 1, 16)))


class _History:
    """The failures of one request so far; tenacity asks it whether to stop and how long to wait."""

    def __init__(self, limits: Limits, rng: random.Random) -> None:
        self._limits = limits
        self._rng = rng
        self._counted = 0
        self._risked: Counter[type[BaseException]] = Counter()
        self._refused_since: float | None = None

    def stop(self, state: RetryCallState) -> bool:
        """Whether no further attempt is to be made. Asked once for each failure."""
        error = _error(state)
        if isinstance(error, RateLimited):
            self._check_patience(state, error)
            return False
        self._refused_since = None
        if isinstance(error, NotSent | Unavailable) and not error.counted:
            return False
        self._counted += 1
        self._risked[type(error)] += 1
        return self._counted >= self._limits.attempts or any(self._risked[kind] > 1 for kind in ONCE_MORE)

    def _check_patience(self, state: RetryCallState, error: RateLimited) -> None:
        now = state.outcome_timestamp or 0.0
        if self._refused_since is None:
            self._refused_since = now
        refused_for = now - self._refused_since
        if refused_for > self._limits.patience:
            raise ProviderUnavailable(
                f"the API has answered 429 for {duration(refused_for)} ({error}): lower limits.requests_per_minute, "
                "or run again later; everything so far is recorded"
            )

    def wait(self, state: RetryCallState) -> float:
        """Seconds until the next attempt."""
        error = _error(state)
        if isinstance(error, RateLimited):
            return 0.0
        asked = error.retry_after if isinstance(error, Unavailable) else None
        return max(full_jitter(max(self._counted, 1), self._rng), asked or 0.0)


def asking(limits: Limits, *, sleep: Sleep, rng: random.Random | None = None) -> AsyncRetrying:
    """The attempts of one request to the API; the last error is raised when no more are to be made.

    | after | again | counted | wait |
    |---|---|---|---|
    | `NotSent`, `Unavailable` | up to `limits.attempts` in all | yes | full jitter, or longer if the server says so |
    | `RateLimited` | for up to `limits.patience` without a break | no | none: the pause is everybody's |
    | `MaybeBilled`, `NoPicture` | once each | yes | full jitter |

    Raises:
        ProviderUnavailable: Nothing but 429 for longer than `limits.patience`.
    """
    history = _History(limits, rng or random.Random())
    return AsyncRetrying(
        retry=retry_if_exception_type(TryAgain), stop=history.stop, wait=history.wait, sleep=sleep, reraise=True
    )


def fetching(*, sleep: Sleep, rng: random.Random | None = None) -> AsyncRetrying:
    """The attempts of one download: a GET costs nothing, so there are more of them."""
    chance = rng or random.Random()

    def stop(state: RetryCallState) -> bool:
        error = _error(state)
        gone = isinstance(error, DownloadBroken) and error.cause == "lost"
        return state.attempt_number >= (FETCHES_OF_GONE if gone else FETCHES)

    def wait(state: RetryCallState) -> float:
        error = _error(state)
        asked = error.retry_after if isinstance(error, DownloadBroken) else None
        return max(full_jitter(state.attempt_number, chance), min(asked or 0.0, BACKOFF_CAP))

    return AsyncRetrying(retry=retry_if_exception_type(DownloadBroken), stop=stop, wait=wait, sleep=sleep, reraise=True)


def _error(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    assert error is not None, "tenacity asks only after a failure"
    return error
