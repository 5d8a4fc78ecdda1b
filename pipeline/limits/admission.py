"""The right to send one request now: one object, which asks what may hold a request back in one order.

1. Concurrency: how many are in flight. 2. Budget: the price is set aside, or the request shrinks to what there is room
for. 3. Rate: when the next may leave. 4. Breaker: whether the provider is there at all. The breaker comes last, since
whatever waited for anything else when an outage began would otherwise still go out after it. After a wait for the
breaker the request's turn in the rate has passed, so both are asked again.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pipeline.errors import NotSent, Unavailable
from pipeline.limits.breaker import CircuitBreaker
from pipeline.limits.budget import Budget
from pipeline.limits.rate import ConcurrencyLimiter, RateLimiter
from pipeline.limits.stop import StopSignal


@dataclass(slots=True)
class Reservation:
    """What one request has cost, as far as is known: its price is reserved, its outcome corrects it.

    Attributes:
        reserved: Tokens that the budget holds for it.
        price: Tokens by list price, None where unknown.
        images: Images that it may ask for.
        epoch: Of the concurrency limiter, when it was let in.
        cost: Tokens it has cost or may have cost.
    """

    reserved: int
    price: int | None
    images: int
    epoch: int
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Admission:
    """Lets requests out, and learns from what became of them.

    Attributes:
        stop: Ends every wait.
        concurrency: How many are in flight.
        budget: What they may cost.
        rate: When the next may leave.
        breaker: Whether the provider is there.
    """

    stop: StopSignal
    concurrency: ConcurrencyLimiter
    budget: Budget
    rate: RateLimiter
    breaker: CircuitBreaker

    @asynccontextmanager
    async def admit(self, each: int | None, images: int) -> AsyncIterator[Reservation]:
        """The right to send one request now, paid for whatever becomes of it.

        Args:
            each: Tokens that one image costs, None where unknown.
            images: How many are to be asked for.

        Raises:
            BudgetReached: It has no room for a single one.
            ProviderUnavailable: The provider has been out for longer than the patience.
            RunStopping: The run is ending.
        """
        admitted: int | None = None
        reservation: Reservation | None = None
        try:
            with self.stop.interruptible():
                admitted = await self.concurrency.acquire()
                reserved, images = await self.budget.reserve(each, images)
                reservation = Reservation(reserved, None if each is None else each * images, images, admitted)
                await self.rate.acquire()
                while await self.breaker.allow():
                    await self.rate.acquire()
            yield reservation
        finally:
            if reservation is not None:
                self.budget.settle(reservation.reserved, reservation.cost)
            if admitted is not None:
                self.concurrency.release()

    def answered(self) -> None:
        """The provider may have refused, but it is there."""
        self.breaker.record_success()

    def accepted(self) -> None:
        """The provider has taken a request in."""
        self.concurrency.accepted()
        self.rate.accepted()

    def refused_for_its_rate(self, reservation: Reservation, retry_after: float | None) -> float:
        """The provider asks for a pause; `retry_after`: seconds, None where it names none.

        Returns:
            Seconds until the next request may leave, at least.
        """
        self.concurrency.refused(reservation.epoch)
        return self.rate.pause(retry_after)

    def crowded(self, reservation: Reservation) -> None:
        """This machine has too many files open: fewer requests at once need fewer."""
        self.concurrency.refused(reservation.epoch)

    def failed(self, item: str, error: NotSent | Unavailable) -> bool:
        """The provider could not be reached, or failed, for an item.

        Returns:
            Whether to tell of it: it has just become an outage, or has been one for some time more.
        """
        return self.breaker.record_failure(item, error)
