"""Whether new requests may go out. Once stopping was requested, with a reason, it holds for the rest of the run.

A signal, a refused key, a full disk and an empty budget all end a run in the same way: nothing more is sent, what is
in flight is finished and recorded, and the reason becomes the exit code.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from pipeline.errors import PipelineError, StopRun


class RunStopping(PipelineError):
    """The run is ending: what was waiting to be sent is not sent."""


class StopSignal:
    """Not set until someone requests it.

    Attributes:
        reason: Why the run is to stop, or None while it goes on. The first reason stays.
    """

    def __init__(self) -> None:
        self.reason: StopRun | None = None
        self._waiting: set[anyio.CancelScope] = set()

    def request(self, reason: StopRun) -> None:
        """Let nothing more out; whoever waits to send is told at once with `RunStopping`."""
        if self.reason is None:
            self.reason = reason
        for scope in self._waiting:
            scope.cancel()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Wait for something inside, such as a turn or a backoff, but no longer than the run goes on.

        Raises:
            RunStopping: The run is ending, or was told to meanwhile.
        """
        if self.reason is not None:
            raise RunStopping
        with anyio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                yield
            finally:
                self._waiting.discard(scope)
        if scope.cancelled_caught:
            raise RunStopping
