"""Ctrl-C and SIGTERM: the first one ends the run in order, the second one at once."""

import signal
import threading
from collections.abc import Callable

import anyio

from pipeline.errors import Interrupted
from pipeline.gate import Gate


async def watch_signals(gate: Gate, scope: anyio.CancelScope, grace: float, note: Callable[[str], None]) -> None:
    """The first Ctrl-C or SIGTERM closes the gate; the second, or the end of the grace time, cuts everything off.

    Outside the main thread, where Python tells nobody of signals, this does nothing.

    Args:
        gate: Closed by the first signal.
        scope: Cancelled by the second.
        grace: Seconds.
        note: Says something to whoever watches the run.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as timer:
            first = signal.Signals(await anext(signals))
            gate.close(Interrupted(f"stopped by {first.name}", 128 + first))
            note(f"{first.name}: finishing what is in flight (up to {grace:.0f} s); once more stops at once")
            timer.start_soon(_cut_off, scope, grace)
            await anext(signals)
            scope.cancel()


async def _cut_off(scope: anyio.CancelScope, grace: float) -> None:
    await anyio.sleep(grace)
    scope.cancel()
