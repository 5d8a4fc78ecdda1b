"""What a run has done and spent so far, request by request."""

from dataclasses import dataclass, replace

from pipeline.generated import Generation
from pipeline.limits.admission import Reservation
from pipeline.model import CREDITS_PER_USD

ABSURD = 100
"""Times the list price from which on a cost is taken for a mistake of the server."""


@dataclass(slots=True)
class RunStats:
    """What a run has done so far.

    Attributes:
        requests: POSTs that left this machine, answered or not.
        tokens: Tokens that paid answers cost.
        usd: Dollars that paid answers cost, where they say so.
        unknown_cost: Paid answers that did not say what they cost in tokens.
        absurd_cost: Paid answers that named a cost nobody can believe; they count at list price.
    """

    requests: int = 0
    tokens: int = 0
    usd: float = 0.0
    unknown_cost: int = 0
    absurd_cost: int = 0


def plausible_cost(generation: Generation, reservation: Reservation, stats: RunStats) -> Generation:
    """The answer, with its list price where it names a cost that is out of all proportion."""
    if not reservation.price or (generation.tokens_used or 0) <= ABSURD * reservation.price:
        return generation
    stats.absurd_cost += 1
    dollars = None if generation.usd is None else reservation.price / CREDITS_PER_USD
    return replace(generation, tokens_used=reservation.price, usd=dollars)
