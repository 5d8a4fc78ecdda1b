"""A token bucket, as rate-limited APIs have it."""

import math


class Bucket:
    """So many requests at once, and then so many a minute.

    Args:
        per_minute: Tokens that come back in a minute.
        burst: Tokens it holds; it is full at first.
    """

    def __init__(self, per_minute: float, burst: float) -> None:
        self._rate = per_minute / 60.0
        self._burst = burst
        self._tokens = burst
        self._at: float | None = None

    def take(self, now: float) -> float:
        """Take a token at this moment, in seconds from any fixed one.

        Returns:
            Seconds after which there will be one; 0.0 if there was one.
        """
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._rate


def retry_after(seconds: float) -> int:
    """The same in whole seconds, as a `Retry-After` header says it."""
    return max(1, math.ceil(seconds))
