"""How much of the answers that are being read may be in memory at once: a budget of bytes, shared by all of them."""

import math
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import anyio

SIZE = 32 * 1024 * 1024
"""Bytes of all answers together; one of them may be larger, while it is the only one."""

STALLED = 5.0
"""Seconds without a byte after which the answer that may go over the budget no longer holds up the others."""


@dataclass(slots=True)
class _Waiter:
    share: "Share"
    size: int
    granted: anyio.Event = field(default_factory=anyio.Event)


class ByteBudget:
    """The budget.

    What an answer has taken is its own until it is done with. When all is taken, those that want more wait in turn,
    and the first of them may go over the budget: so one is always read to its end, and gives back what it holds. If
    that one stalls, the right goes on to the next, for a server may cut off a client that does not read.

    Args:
        size: Bytes.
    """

    def __init__(self, size: int = SIZE) -> None:
        self._free = size
        self._line: deque[_Waiter] = deque()
        self._over: Share | None = None

    def share(self) -> "Share":
        """What one answer takes of the budget. A context manager; it gives all back at its end."""
        return Share(self)

    def took(self, share: "Share", size: int) -> bool:
        """Give a share so many bytes if they are to be had at once."""
        if (self._line and self._over is not share) or not self._fits(share, size):
            return False
        self._give(share, size)
        return True

    async def take(self, share: "Share", size: int) -> None:
        """Give a share so many bytes, as soon as they are to be had."""
        if self.took(share, size):
            return
        waiting = _Waiter(share, size)
        self._line.append(waiting)
        try:
            while not waiting.granted.is_set():
                with anyio.move_on_after(STALLED):
                    await waiting.granted.wait()
                self._serve()
        except BaseException:
            if not waiting.granted.is_set():
                self._line.remove(waiting)
            raise

    def take_back(self, share: "Share") -> None:
        """Take all that a share holds back into the budget."""
        self._free += share.held
        share.held = 0
        if self._over is share:
            self._over = None
        self._serve()

    def _fits(self, share: "Share", size: int) -> bool:
        if size <= self._free:
            return True
        stalled = self._over is not None and anyio.current_time() - self._over.took_at > STALLED
        if self._over is None or stalled:
            self._over = share
        return self._over is share

    def _serve(self) -> None:
        while self._line and self._fits(self._line[0].share, self._line[0].size):
            first = self._line.popleft()
            self._give(first.share, first.size)
            first.granted.set()

    def _give(self, share: "Share", size: int) -> None:
        self._free -= size
        share.held += size
        share.took_at = anyio.current_time()


class Share:
    """What one answer holds of a `ByteBudget`.

    Attributes:
        held: Bytes.
        took_at: When it last took some, in seconds of the event loop's clock.
    """

    def __init__(self, room: ByteBudget) -> None:
        self._room = room
        self.held = 0
        self.took_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._room.take_back(self)

    def took(self, size: int) -> bool:
        """Take so many bytes if they are to be had at once."""
        return self._room.took(self, size)

    async def take(self, size: int) -> None:
        """Take so many bytes, as soon as they are to be had."""
        await self._room.take(self, size)

    def complete(self) -> None:
        """Nothing more comes: what it holds is given back soon, so that it is never taken for stalled."""
        self.took_at = math.inf
