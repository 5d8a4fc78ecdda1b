import random

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.budget import Budget
from pipeline.errors import BudgetReached


async def test_without_a_cap_nothing_is_refused_and_all_is_counted() -> None:
    budget = Budget(None)
    await budget.reserve(10**15)
    await budget.reserve(5)
    budget.settle(5, 3)
    assert (budget.spent, budget.reserved) == (3, 10**15)


async def test_the_cap_itself_may_be_spent() -> None:
    budget = Budget(100)
    await budget.reserve(60)
    await budget.reserve(40)
    budget.settle(60, 60)
    budget.settle(40, 40)
    assert budget.spent == 100
    with pytest.raises(BudgetReached):
        await budget.reserve(1)


async def test_a_request_over_the_whole_cap_is_refused_though_others_are_in_flight() -> None:
    budget = Budget(100)
    await budget.reserve(10)
    with anyio.fail_after(1), pytest.raises(BudgetReached) as refused:
        await budget.reserve(101)
    assert refused.value.exit_code == 7
    assert budget.reserved == 10


async def test_the_refusal_says_what_was_spent_and_how_to_go_on() -> None:
    budget = Budget(200_000)
    await budget.reserve(126_000)
    budget.settle(126_000, 126_000)
    with pytest.raises(BudgetReached, match=r"200,000.*126,000.*126,000.*budget_tokens.*--budget-tokens"):
        await budget.reserve(126_000)


async def test_a_request_waits_for_one_in_flight_that_may_cost_nothing() -> None:
    budget = Budget(100)
    await budget.reserve(100)
    async with anyio.create_task_group() as group:
        group.start_soon(budget.reserve, 80)
        await anyio.wait_all_tasks_blocked()
        assert budget.reserved == 100
        budget.settle(100, 0)
    assert (budget.spent, budget.reserved) == (0, 80)


async def test_a_request_that_waited_in_vain_is_refused() -> None:
    budget = Budget(100)
    await budget.reserve(100)
    refused: list[BudgetReached] = []

    async def wait() -> None:
        with pytest.raises(BudgetReached) as raised:
            await budget.reserve(80)
        refused.append(raised.value)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        budget.settle(100, 100)
    assert len(refused) == 1


async def test_a_cancelled_wait_reserves_nothing() -> None:
    budget = Budget(100)
    await budget.reserve(100)
    with anyio.move_on_after(0.01):
        await budget.reserve(50)
    budget.settle(100, 0)
    assert budget.reserved == 0


@settings(max_examples=60, deadline=None)
@given(
    cap=st.integers(0, 50),
    prices=st.lists(st.integers(0, 20), max_size=25),
    seed=st.integers(0, 2**32),
)
async def test_the_cap_is_never_exceeded_whatever_comes_back_in_whatever_order(
    cap: int, prices: list[int], seed: int
) -> None:
    budget = Budget(cap)
    dice = random.Random(seed)
    outcomes: list[str] = []

    async def request(price: int) -> None:
        for _ in range(dice.randrange(4)):
            await anyio.lowlevel.checkpoint()
        try:
            await budget.reserve(price)
        except BudgetReached:
            outcomes.append("refused")
            # Only where it could not fit, were all that is open to come back for nothing.
            assert budget.spent + price > cap
            return
        assert budget.spent + budget.reserved <= cap
        for _ in range(dice.randrange(4)):
            await anyio.lowlevel.checkpoint()
        budget.settle(price, dice.choice((0, price, dice.randint(0, price))))
        outcomes.append("sent")
        assert budget.spent + budget.reserved <= cap

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for price in prices:
                group.start_soon(request, price)
    assert len(outcomes) == len(prices)
    assert budget.reserved == 0
    assert budget.spent <= cap
