"""Ctrl-C, SIGTERM, SIGHUP and SIGQUIT: the first one ends the run in order, the second one at once."""

import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio

from pipeline.errors import Interrupted
from pipeline.events import Listener, Stopping
from pipeline.limits.stop import StopSignal

HANG_UP = 1.0
"""Seconds in which a terminal that was closed may say so more than once."""


async def watch_signals(stop: StopSignal, scope: anyio.CancelScope, grace: float, tell: Listener) -> None:
    """The first signal requests a stop; the second, or the end of the grace time, cuts everything off.

    Outside the main thread, where Python tells nobody of signals, this does nothing.

    Args:
        stop: Requested by the first signal.
        scope: Cancelled by the second.
        grace: Seconds.
        tell: Listens to what happens.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    terminal = _has_terminal()
    with anyio.open_signal_receiver(*_to_watch()) as signals:
        async with anyio.create_task_group() as timer:
            first = await anext(signals)
            stop.request(Interrupted(f"stopped by {first.name}", 128 + first))
            tell(Stopping(first.name, grace))
            timer.start_soon(_cut_off, scope, grace)
            await _second(signals, terminal=terminal)
            scope.cancel()


def _to_watch() -> list[signal.Signals]:
    """The signals that stop a run.

    SIGHUP is left alone where it is ignored, as `nohup` does so that a run outlives its terminal; and neither it nor
    SIGQUIT is taken from a program that has a use of its own for it and runs a job from Python.
    """
    watched = [signal.SIGINT, signal.SIGTERM]
    for name, theirs in (("SIGHUP", (signal.SIG_DFL,)), ("SIGQUIT", (signal.SIG_DFL, signal.SIG_IGN))):
        number = getattr(signal, name, None)  # Windows has neither
        if number is not None and signal.getsignal(number) in theirs:
            watched.append(number)
    return watched


async def _second(signals: AsyncIterator[signal.Signals], *, terminal: bool) -> None:
    """Return once a second signal comes.

    A shell that runs in a terminal passes on that it was closed, and then the system says so too: two SIGHUPs at
    nearly the same moment, or one after a SIGTERM, by which nobody means that the answers in flight are to be dropped.
    """
    since = time.monotonic()
    async for number in signals:
        repeated = number.name == "SIGHUP" and time.monotonic() - since < HANG_UP
        if not (repeated and terminal and not _has_terminal()):
            return


def _has_terminal() -> bool:
    """Whether the process has a terminal of its own that is still there."""
    with suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDWR | getattr(os, "O_NOCTTY", 0)))
        return True
    return False


async def _cut_off(scope: anyio.CancelScope, grace: float) -> None:
    await anyio.sleep(grace)
    scope.cancel()
