"""What a run waits for, in the words that its bar shows."""

from collections.abc import Callable

from pipeline.limits.breaker import CircuitBreaker
from pipeline.limits.policy import STANDARD, Policy
from pipeline.limits.rate import ConcurrencyLimiter, RateLimiter
from pipeline.listeners.progress import Waiting
from pipeline.run.reconcile import Reconciler
from pipeline.text import clock


def waiting_for(
    breaker: CircuitBreaker,
    rate: RateLimiter,
    concurrency: ConcurrencyLimiter,
    reconciler: Reconciler,
    policy: Policy = STANDARD,
) -> Callable[[], Waiting | None]:
    """Says what the run waits for just now; None while it gets on."""

    def told() -> Waiting | None:
        if breaker.is_open:
            return Waiting(f"provider unavailable, gives up in {clock(breaker.left)}")
        if rate.paused_for >= policy.wait_shown:
            return Waiting(f"the API asked for a pause, {clock(rate.paused_for)}")
        if rate.next_in >= policy.wait_shown:
            return Waiting(f"next request in {clock(rate.next_in)} (rate)", regular=True)
        if reconciler.due_in is not None and not concurrency.in_flight:
            return Waiting(f"waiting for the vendor's log, {clock(reconciler.due_in)}")
        return None

    return told
