"""Virtual time: an event loop that never waits, but moves its clock to the next timer once every task waits.

`anyio.current_time`, `anyio.sleep` and `anyio.move_on_after` all follow it, so that an hour of a test takes
milliseconds, always goes the same way, and a deadlock is an error at once.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ParamSpec

import anyio

P = ParamSpec("P")


class _Selector(selectors.SelectSelector):
    """Reports what is ready; where the loop would wait, its clock moves on instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("deadlock: every task waits for another one")
        if not ready:
            self.now += timeout or 0.0
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock starts at 0 and moves only when there is nothing to do."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Seconds since the loop began."""
        return self._virtual.now

    def stall(self, seconds: float) -> None:
        """Let time pass while nothing else can run: a loop that is held up."""
        self._virtual.now += seconds


def stall(seconds: float) -> None:
    """Hold the running virtual loop up for so long."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.stall(seconds)


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make of an async test one that runs in virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        options: Mapping[str, Any] = {"loop_factory": VirtualLoop}
        anyio.run(functools.partial(test, *args, **kwargs), backend_options=dict(options))

    return run
