"""When the next request may go out (`RateLimiter`) and how many may be out at once (`ConcurrencyLimiter`).

`RateLimiter` is a generic cell rate algorithm (ITU-T I.371, appendix I): each request has a slot, a slot is one
interval after the one before, and whoever comes late may catch up by a bounded part of what was missed. Slots are
absolute times, so nothing drifts; nothing is sent in a burst, because a server's bucket need not be full when ours is.
Where no rate is known there are no slots until the server refuses; from then on its refusals teach one.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable

import anyio

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]

_MARGIN = 1.002
"""Intervals are this much longer than the rate says: two clocks never agree to the last digit."""

_JITTER = 0.010
"""Seconds by which two requests may draw nearer to each other on their way."""

_BURST = 1.0
"""Seconds' worth of requests that a server is taken to let in at once; at least one request."""

_CUT = 0.7
"""A pace that was refused is cut to no less than this part of it."""

_REGAIN = 10.0
"""Seconds after a pause in which a learned pace doubles; it grows with their square, so that a wrong one is short."""

_SLOWEST = 10.0
"""Seconds between two turns, at most, that refusals can teach: a single one may come with a pause of an hour."""


FIRST = 8
"""Requests in flight at once to begin with, where nobody knows what the server bears."""


class RateEstimator:
    """The interval between turns that a server of unknown rate seems to bear.

    From the end of one pause to the end of the next it let in so many requests: that is a rate it bears, though maybe
    not all, for what it would have let in during the pause may be lost. So a pace that was refused is cut to that
    rate, or to `_CUT` of itself where that is more. Then it grows until the next refusal: slowly at first, as a rate
    that was nearly right deserves, then ever faster (the idea of CUBIC, RFC 9438, with a square for its cube).
    """

    def __init__(self) -> None:
        self._learned = 0.0
        self._interval = 0.0
        self._resumed: float | None = None
        self._paused_until: float | None = None
        self._let_in = 0

    def refused(self, paused_until: float) -> None:
        """A turn was refused; nobody gets another before `paused_until`."""
        self._let_in -= 1
        self._paused_until = paused_until

    def turn(self, now: float) -> float:
        """A turn is given now.

        Returns:
            Seconds until the next one.
        """
        if self._resumed is None:
            self._resumed = now
        if self._paused_until is not None:
            # Not earlier: requests that left together are refused one after another, all while the pause lasts.
            self._learn(self._resumed, self._paused_until)
            self._resumed, self._paused_until, self._let_in = self._paused_until, None, 0
        self._let_in += 1
        self._interval = self._learned / (1.0 + ((now - self._resumed) / _REGAIN) ** 2)
        return self._interval

    def _learn(self, begun: float, ended: float) -> None:
        borne = (ended - begun) / max(self._let_in, 1)
        cut = self._interval / _CUT if self._interval else borne
        self._learned = min(borne, cut, _SLOWEST)


class RateLimiter:
    """The rate at which requests go out, for all workers together.

    Every attempt takes a turn. Turns are given in the order in which they were asked for.
    """

    def __init__(self, per_minute: float | None, *, clock: Clock = time.monotonic, sleep: Sleep = anyio.sleep) -> None:
        """At most `per_minute` turns a minute, evenly; None: as many as are asked for, until refusals teach better."""
        interval = 60.0 / per_minute if per_minute else 0.0
        # A server that lets in one request at a time, or hardly more, bears no two that drew nearer on their way: they
        # keep further apart, and each slot counts from when the last request really left. Where there is room, half
        # of it is for whoever wakes late to catch up.
        room = _BURST - interval - _JITTER
        self._interval = interval * _MARGIN + (_JITTER if room < 0 else 0.0)
        self._catch_up = max(room, 0.0) / 2 if interval else 0.0
        self._lessons = None if per_minute else RateEstimator()
        self._clock = clock
        self._sleep = sleep
        self._next = 0.0
        self._paused_until = 0.0
        self._backoff = 0.0
        self._head = anyio.Lock(fast_acquire=True)

    async def acquire(self) -> None:
        """Wait for this request's turn."""
        # Only the first in line sleeps; it looks again after each sleep, since a pause may have begun meanwhile.
        arrived = self._clock()
        async with self._head:
            while (wait := self._next - self._clock()) > 0:
                await self._sleep(wait)
            # Slots that passed while nobody asked for them are gone: only who waited and woke late catches up.
            now = self._clock()
            interval = self._lessons.turn(now) if self._lessons else self._interval
            self._next = max(self._next, arrived, now - self._catch_up) + interval

    def pause(self, seconds: float | None) -> float:
        """The server has refused a request: give nobody a turn for so long.

        Of several pauses the one that ends last holds.

        Args:
            seconds: What the server asked for. Where it named no time, or none that is left (None or 0), it is a
                second, and twice as long each time that it refuses again right after.

        Returns:
            Seconds from now until the next turn, at least.
        """
        now = self._clock()
        if not seconds and now >= self._paused_until:
            self._backoff = min(max(1.0, self._backoff * 2), 60.0)
            seconds = self._backoff
        self._paused_until = max(self._paused_until, now + (seconds or 0.0))
        self._next = max(self._next, self._paused_until)
        if self._lessons:
            self._lessons.refused(self._paused_until)
        return self._paused_until - now

    @property
    def paused_for(self) -> float:
        """Seconds that a pause which the server asked for still takes; 0 where there is none."""
        return max(0.0, self._paused_until - self._clock())

    @property
    def next_in(self) -> float:
        """Seconds until the next turn is given, at least; 0 where no request waits for one."""
        return max(0.0, self._next - self._clock()) if self._head.locked() else 0.0

    def accepted(self) -> None:
        """The server has let a request in."""
        self._backoff = 0.0


class ConcurrencyLimiter:
    """How many requests are in flight at once: `most`, or where the server's limit is unknown what it bears.

    Half as many after a refusal, one more after as many successes as are allowed at once (additive increase,
    multiplicative decrease: Chiu and Jain, 1989). It begins with few, lest a server that bears few refuse many at once,
    and doubles until the first refusal (slow start: Jacobson, 1988).

    Attributes:
        limit: How many may be in flight now.
        in_flight: How many are.
    """

    def __init__(self, most: int, *, adaptive: bool) -> None:
        self.limit = min(most, FIRST) if adaptive else most
        self.in_flight = 0
        self._most = most
        self._adaptive = adaptive
        self._epoch = 0
        self._successes = 0
        self._waiting: deque[anyio.Event] = deque()

    async def acquire(self) -> int:
        """Wait until one more may be in flight.

        Returns:
            The epoch it belongs to, for `refused`.
        """
        if self.in_flight < self.limit and not self._waiting:
            self.in_flight += 1
            return self._epoch
        granted = anyio.Event()
        self._waiting.append(granted)
        try:
            await granted.wait()
        except BaseException:
            if granted.is_set():
                self.release()
            else:
                self._waiting.remove(granted)
            raise
        return self._epoch

    def release(self) -> None:
        """One less is in flight."""
        self.in_flight -= 1
        self._grant()

    def accepted(self) -> None:
        """The server has let a request in."""
        if not self._adaptive or self.limit >= self._most:
            return
        self._successes += 1
        # Before the first refusal each success lets one more go: twice as many every round.
        if self._successes >= self.limit or not self._epoch:
            self._successes = 0
            self.limit += 1
            self._grant()

    def refused(self, epoch: int) -> None:
        """The server has refused a request (429). Those that left before the last cut say nothing new."""
        if not self._adaptive or epoch != self._epoch:
            return
        self._epoch += 1
        self._successes = 0
        self.limit = max(1, self.limit // 2)

    def _grant(self) -> None:
        while self._waiting and self.in_flight < self.limit:
            self.in_flight += 1
            self._waiting.popleft().set()
