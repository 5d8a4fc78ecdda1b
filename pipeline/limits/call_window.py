"""So many calls in any minute: the limit of a server that counts, rather than one that wants them evenly."""

import time
from collections import deque
from collections.abc import Awaitable, Callable

import anyio


class CallWindow:
    """Gives turns for calls, at most so many in any span of time, and at once as long as there are some left.

    Args:
        calls: How many.
        seconds: The span.
        clock: Tells the time, in seconds.
        sleep: Waits, for seconds.
    """

    def __init__(
        self,
        calls: int,
        seconds: float = 60.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._made = deque[float](maxlen=calls)
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._head = anyio.Lock(fast_acquire=True)

    async def turn(self) -> None:
        """Wait until one more call may be made; it counts as made from then on."""
        async with self._head:
            while len(self._made) == self._made.maxlen and (left := self._made[0] + self._seconds - self._clock()) > 0:
                await self._sleep(left)
            self._made.append(self._clock())
