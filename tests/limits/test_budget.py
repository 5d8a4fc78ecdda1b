import random

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import BudgetReached
from pipeline.limits.budget import Budget, RetryPaidBudget, cap_of
from pipeline.model import Limits


@pytest.fixture
def budget_of_100() -> Budget:
    return Budget(100)


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


async def test_a_request_over_the_whole_cap_is_refused_once_nothing_is_in_flight(budget_of_100: Budget) -> None:
    await budget_of_100.reserve(10)
    refused: list[BudgetReached] = []

    async def ask() -> None:
        with pytest.raises(BudgetReached) as raised:
            await budget_of_100.reserve(101)
        refused.append(raised.value)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        assert not refused, "what the budget was promised to could not be sent any more"
        budget_of_100.settle(10, 10)
    assert refused[0].exit_code == 7
    assert budget_of_100.reserved == 0


async def test_as_many_images_are_let_through_as_fit(budget_of_100: Budget) -> None:
    assert await budget_of_100.reserve(30, 4) == (90, 3)
    budget_of_100.settle(90, 30)
    assert await budget_of_100.reserve(30, 2) == (60, 2)
    budget_of_100.settle(60, 60)
    with pytest.raises(BudgetReached, match="the next image costs 30"):
        await budget_of_100.reserve(30, 2)


async def test_a_request_of_unknown_price_goes_alone_with_all_that_is_left(budget_of_100: Budget) -> None:
    await budget_of_100.reserve(10)
    went: list[tuple[int, int]] = []

    async def ask() -> None:
        went.append(await budget_of_100.reserve(None, 2))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        assert not went
        budget_of_100.settle(10, 10)
    assert went == [(90, 2)]
    budget_of_100.settle(90, 90)
    with pytest.raises(BudgetReached, match="no known price"):
        await budget_of_100.reserve(None)


async def test_what_earlier_runs_have_spent_counts_and_is_told(budget_of_100: Budget) -> None:
    budget_of_100.begin(80)
    with pytest.raises(BudgetReached, match="80 of them by earlier runs"):
        await budget_of_100.reserve(30)
    budget_of_100.correct(-70)
    assert await budget_of_100.reserve(30) == (30, 1)


@pytest.mark.parametrize(("tokens", "dollars", "cap"), [(5, None, 5), (None, 0.063, 126_000), (5, 1, 5), (9, 1e-6, 2)])
def test_of_two_caps_the_lower_one_holds(tokens: int | None, dollars: float | None, cap: int) -> None:
    assert cap_of(Limits(budget_tokens=tokens, budget_usd=dollars)) == cap


@pytest.mark.parametrize(
    ("dollars", "planned", "cap"), [(None, 0, 2e6), (None, 2e8, 4e6), (0.5, 2e8, 1e6), (0, 2e8, 0)]
)
def test_a_dollar_or_a_fiftieth_of_the_plan_may_be_lost(dollars: float | None, planned: float, cap: float) -> None:
    assert RetryPaidBudget(dollars, int(planned), dear=lambda: 7).cap == cap


def test_what_is_lost_at_an_unknown_price_is_taken_for_the_dearest() -> None:
    lost = RetryPaidBudget(7e-6, 0, dear=lambda: 7)
    assert [lost.allows(None), lost.allows(7), lost.allows(1)] == [True, True, False]


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
