"""One request is let out after the other, by four things in one order."""

import random
from dataclasses import dataclass, field

import anyio
import pytest

from pipeline.errors import BudgetReached, Interrupted, NotSent
from pipeline.limits.admission import Admission, Reservation
from pipeline.limits.breaker import CircuitBreaker
from pipeline.limits.budget import Budget
from pipeline.limits.policy import STANDARD
from pipeline.limits.rate import ConcurrencyLimiter, RateLimiter
from pipeline.limits.stop import RunStopping, StopSignal
from tests.clock import in_virtual_time


def admission(*, most: int = 4, tokens: int | None = None, rate: float | None = None) -> Admission:
    return Admission(
        StopSignal(),
        ConcurrencyLimiter(most, adaptive=False),
        Budget(tokens),
        RateLimiter(rate, clock=anyio.current_time),
        CircuitBreaker(1800.0, clock=anyio.current_time, rng=random.Random(1)),
    )


@dataclass
class Sent:
    """The moments at which requests left."""

    at: list[float] = field(default_factory=list)

    async def one(self, admitted: Admission, seconds: float = 0.0, cost: int = 0) -> None:
        async with admitted.admit(100, 1) as reservation:
            self.at.append(anyio.current_time())
            await anyio.sleep(seconds)
            reservation.cost = cost


@in_virtual_time
async def test_what_a_request_did_not_cost_is_free_for_the_next_one() -> None:
    admitted, sent = admission(tokens=100), Sent()
    await sent.one(admitted)
    await sent.one(admitted, cost=100)
    with pytest.raises(BudgetReached):
        await sent.one(admitted)
    assert (admitted.budget.reserved, admitted.budget.spent, admitted.concurrency.in_flight) == (0, 100, 0)


@in_virtual_time
async def test_a_request_shrinks_to_what_the_budget_has_room_for() -> None:
    async with admission(tokens=250).admit(100, 4) as reservation:
        assert (reservation.images, reservation.price, reservation.reserved) == (2, 200, 200)


@in_virtual_time
async def test_no_more_are_in_flight_than_may_be() -> None:
    admitted, sent = admission(most=2), Sent()
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(sent.one, admitted, 10.0)
    assert [round(moment) for moment in sent.at] == [0, 0, 10, 10]


@in_virtual_time
async def test_what_waited_for_anything_else_when_an_outage_began_does_not_go_out_after_it() -> None:
    admitted, sent = admission(most=1), Sent()
    async with anyio.create_task_group() as group:
        group.start_soon(sent.one, admitted, 10.0)
        await anyio.sleep(1)
        group.start_soon(sent.one, admitted)
        for number in range(STANDARD.outage_failures):
            admitted.failed(f"item-{number % 2}", NotSent("refused"))
        await anyio.sleep(20)
        assert len(sent.at) == 1
        admitted.answered()
    assert len(sent.at) == 2


@in_virtual_time
async def test_after_an_outage_nobody_goes_out_faster_than_the_rate() -> None:
    admitted, sent = admission(rate=60), Sent()
    for number in range(STANDARD.outage_failures):
        admitted.failed(f"item-{number % 2}", NotSent("refused"))
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(sent.one, admitted)
        await anyio.sleep(10)
        assert not sent.at
        admitted.answered()
    assert all(later - sooner >= 0.9 for sooner, later in zip(sent.at, sent.at[1:], strict=False))


@in_virtual_time
async def test_whoever_waits_gives_back_what_it_held_when_the_run_ends() -> None:
    admitted, sent = admission(most=1, tokens=300), Sent()

    async def refused() -> None:
        with pytest.raises(RunStopping):
            await sent.one(admitted)

    admitted.refused_for_its_rate(await _reserved(admitted), 60.0)
    async with anyio.create_task_group() as group:
        group.start_soon(refused)
        await anyio.sleep(1)
        assert admitted.budget.reserved == 100
        admitted.stop.request(Interrupted("stopped"))
    assert (admitted.budget.reserved, admitted.concurrency.in_flight, sent.at) == (0, 0, [])


async def _reserved(admitted: Admission) -> Reservation:
    async with admitted.admit(100, 1) as reservation:
        return reservation
