"""Connections that are cut off after always the same time: no chance, but something on the way that does it."""

from collections import deque

from pipeline.limits.policy import STANDARD, Policy

CUTS = 3
"""Requests cut off after the same time, from which on a person is told."""

ALIKE = 2.0
"""Seconds by which the times may differ."""


class IdleTimeoutDetector:
    """The times after which the latest requests were cut off."""

    def __init__(self, policy: Policy = STANDARD) -> None:
        self._policy = policy
        self._ages: deque[float] = deque(maxlen=CUTS)

    def constant(self, age: float) -> bool:
        """Take note of a request cut off after `age` seconds; whether that has now become a habit."""
        self._ages.append(age)
        if (
            len(self._ages) < CUTS
            or min(self._ages) < self._policy.cut_after
            or max(self._ages) - min(self._ages) > ALIKE
        ):
            return False
        self._ages.clear()
        return True
