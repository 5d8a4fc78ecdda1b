"""What a run waits for, in the words that its bar shows."""

from collections.abc import Callable

from pipeline.limits.breaker import Outage
from pipeline.limits.rate import Pace, Throttle
from pipeline.listeners.progress import Waiting
from pipeline.run.reconcile import Settler
from pipeline.text import clock

LEAST = 1.5
"""Seconds below which a wait is not worth a word."""


def waiting_for(outage: Outage, pace: Pace, throttle: Throttle, settler: Settler) -> Callable[[], Waiting | None]:
    """Says what the run waits for just now; None while it gets on."""

    def told() -> Waiting | None:
        if outage.is_open:
            return Waiting(f"provider unavailable, gives up in {clock(outage.left)}")
        if pace.paused_for >= LEAST:
            return Waiting(f"the API asked for a pause, {clock(pace.paused_for)}")
        if pace.next_in >= LEAST:
            return Waiting(f"next request in {clock(pace.next_in)} (rate)", regular=True)
        if settler.due_in is not None and not throttle.in_flight:
            return Waiting(f"waiting for the vendor's log, {clock(settler.due_in)}")
        return None

    return told
