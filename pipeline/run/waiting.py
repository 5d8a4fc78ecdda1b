"""What a run waits for, in the words that its bar shows."""

from collections.abc import Callable

from pipeline.limits.admission import Admission
from pipeline.limits.policy import STANDARD, Policy
from pipeline.listeners.progress import Waiting
from pipeline.run.reconcile import Reconciler
from pipeline.text import clock


def waiting_for(
    admission: Admission,
    reconciler: Reconciler,
    policy: Policy = STANDARD,
) -> Callable[[], Waiting | None]:
    """Says what the run waits for just now; None while it gets on."""

    def told() -> Waiting | None:
        if admission.breaker.is_open:
            return Waiting(f"provider unavailable, gives up in {clock(admission.breaker.left)}")
        if admission.rate.paused_for >= policy.wait_shown:
            return Waiting(f"the API asked for a pause, {clock(admission.rate.paused_for)}")
        if admission.rate.next_in >= policy.wait_shown:
            return Waiting(f"next request in {clock(admission.rate.next_in)} (rate)", regular=True)
        if reconciler.due_in is not None and not admission.concurrency.in_flight:
            return Waiting(f"waiting for the vendor's log, {clock(reconciler.due_in)}")
        return None

    return told
