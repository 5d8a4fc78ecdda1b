"""The caller's own function that is called with each record of a run, and awaited where it is a coroutine function."""

import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from pipeline.events import Event, ImageRecorded
from pipeline.model import Record

OnRecord = Callable[[Record], Awaitable[None] | None]
"""A plain function is called at once; what a coroutine function does is done beside the run, record by record."""


class RecordCaller:
    """Calls a function with the record of each image as soon as it is saved or has failed.

    Coroutines run one after another, in the order of their records, while the run goes on; the run ends after the last.
    """

    def __init__(self, on_record: OnRecord) -> None:
        """`on_record`: the caller's function.

        Raises:
            TypeError: It can't be called.
        """
        if not callable(on_record):
            raise TypeError(f"on_record must be a function, found {type(on_record).__name__}")
        self._on_record = on_record
        self._to_await: deque[Awaitable[Any]] = deque()
        self._ending = False
        self._changed, self._done = anyio.Event(), anyio.Event()

    def __call__(self, event: Event) -> None:
        """Call the function, if the event is about an image."""
        if isinstance(event, ImageRecorded):
            returned = self._on_record(event.record)
            if returned is not None and inspect.isawaitable(returned):
                self._to_await.append(returned)
                self._changed.set()

    async def attend(self) -> None:
        """Await what the function returns, until `finish`; what it raises is raised here."""
        try:
            while self._to_await or not self._ending:
                if self._to_await:
                    await self._to_await.popleft()
                else:
                    self._changed = anyio.Event()
                    await self._changed.wait()
            self._done.set()
        finally:
            # Nothing is to lie about that will never be awaited.
            for left in self._to_await:
                if inspect.iscoroutine(left):
                    left.close()

    async def finish(self) -> None:
        """Wait until everything is awaited that has come so far; nothing more may come."""
        self._ending = True
        self._changed.set()
        await self._done.wait()
