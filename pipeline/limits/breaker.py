"""The breaker: while the provider is out for everybody, one probe now and then instead of every item's attempts."""

import random
import time
from collections.abc import Callable

import anyio

from pipeline.errors import NotSent, ProviderUnavailable, Unavailable
from pipeline.limits.policy import STANDARD, Policy
from pipeline.text import duration


class CircuitBreaker:
    """Knows whether the provider is out."""

    def __init__(
        self,
        patience: float,
        policy: Policy = STANDARD,
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        """`patience`: seconds of an outage after which the run gives up."""
        self._patience = patience
        self._policy = policy
        self._clock = clock
        self._rng = rng or random.Random()
        self._failures = 0
        self._items: set[str] = set()
        self._since: float | None = None
        self._next_probe = 0.0
        self._told = 0.0
        self._last = ""
        self._closed = anyio.Event()

    @property
    def is_open(self) -> bool:
        """Whether the provider is out: only probes are let through."""
        return self._since is not None

    @property
    def left(self) -> float:
        """Seconds until the run gives up, if the provider stays as it is."""
        return self._patience if self._since is None else max(0.0, self._since + self._patience - self._clock())

    async def allow(self) -> bool:
        """Return at once while all is well; during an outage wait until it is over, or go as its next probe.

        It is asked last, right before a request leaves: whatever waited for anything else when the outage began would
        otherwise still go out after it.

        Returns:
            True if the outage ended while this waited. The request's turn in the rate has passed meanwhile: take a new
            one, then ask again.

        Raises:
            ProviderUnavailable: The outage has lasted longer than the patience.
        """
        waited = False
        while self._since is not None:
            now = self._clock()
            give_up = self._since + self._patience
            if now >= give_up:
                raise ProviderUnavailable(
                    f"the provider has been unavailable for {duration(now - self._since)}: {self._last}; "
                    "everything so far is recorded, the next run goes on from here"
                )
            if now >= self._next_probe:
                self._next_probe = now + self._rng.uniform(*self._policy.probe_every)
                return False
            waited = True
            with anyio.move_on_after(min(self._next_probe, give_up) - now):
                await self._closed.wait()
        return waited

    def record_success(self) -> None:
        """The provider has answered as it should: whoever waits goes on at once."""
        self._failures = 0
        self._items.clear()
        if self._since is not None:
            self._since = None
            self._closed.set()
            self._closed = anyio.Event()

    def record_failure(self, item: str, error: NotSent | Unavailable) -> bool:
        """The provider could not be reached, or failed.

        Returns:
            Whether to tell of it: it has just become an outage, or has been one for some time more.
        """
        self._last = str(error)
        self._failures += 1
        if len(self._items) < 2:
            self._items.add(item)
        opens = self._since is None and self._failures >= self._policy.outage_failures and len(self._items) > 1
        now = self._clock()
        if opens:
            self._since = self._told = now
            self._next_probe = now + self._rng.uniform(*self._policy.probe_every)
        error.counted = self._since is None
        if self._since is not None and now - self._told >= self._policy.outage_told_every:
            self._told = now
            return True
        return opens
