import random
from collections.abc import Awaitable, Callable, Iterator
from itertools import repeat

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import (
    DownloadBroken,
    GiveUp,
    MaybeBilled,
    NoPicture,
    NotSent,
    ProviderUnavailable,
    RateLimited,
    TryAgain,
    Unavailable,
)
from pipeline.limits import retry
from pipeline.limits.policy import STANDARD
from pipeline.limits.retry import (
    RetryBudget,
    asking,
    fetching,
    full_jitter,
    waits_for_fresh,
)
from pipeline.model import Limits
from tests.clock import in_virtual_time


class Longest(random.Random):
    """Chance at its worst: always the upper bound."""

    def uniform(self, a: float, b: float) -> float:
        return b


def uncounted(error: NotSent | Unavailable) -> NotSent | Unavailable:
    error.counted = False
    return error


class Attempts:
    """Meets one error after the other, and then succeeds; notes what was waited in between."""

    def __init__(self, errors: Iterator[Exception]) -> None:
        self.made = 0
        self.waits: list[float] = []
        self._errors = errors

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await anyio.sleep(seconds)

    async def run(self, policy: retry.Attempts, each: Callable[[], Awaitable[None]] | None = None) -> str:
        return await policy(self._one, each)

    async def _one(self, each: Callable[[], Awaitable[None]] | None) -> str:
        self.made += 1
        if each:
            await each()
        error = next(self._errors, None)
        if error:
            raise error
        return "done"


def ask(attempts: Attempts, limits: Limits | None = None, rng: random.Random | None = None) -> retry.Attempts:
    return asking(limits or Limits(), sleep=attempts.sleep, rng=rng or Longest(), clock=anyio.current_time)


@pytest.mark.parametrize("error", [NotSent("no route"), Unavailable("503")])
@in_virtual_time
async def test_what_costs_nothing_is_tried_as_often_as_the_limits_say(error: TryAgain) -> None:
    attempts = Attempts(repeat(error))
    with pytest.raises(type(error)) as raised:
        await attempts.run(ask(attempts, Limits(attempts=5)))
    assert raised.value is error
    assert attempts.made == 5


@in_virtual_time
async def test_each_backoff_may_be_twice_as_long_as_the_one_before() -> None:
    attempts = Attempts(repeat(NotSent("no route")))
    with pytest.raises(NotSent):
        await attempts.run(ask(attempts, Limits(attempts=9)))
    assert attempts.waits == [1, 2, 4, 8, 16, 32, 60, 60]


@in_virtual_time
async def test_the_attempts_end_with_the_first_success() -> None:
    attempts = Attempts(iter([NotSent("a"), Unavailable("b"), RateLimited("c")]))
    assert await attempts.run(ask(attempts)) == "done"
    assert attempts.made == 4


@in_virtual_time
async def test_what_may_have_been_paid_for_is_never_tried_again_blindly() -> None:
    attempts = Attempts(repeat(MaybeBilled("who knows")))
    with pytest.raises(MaybeBilled):
        await attempts.run(ask(attempts))
    assert attempts.made == 1


@in_virtual_time
async def test_an_answer_without_a_picture_is_tried_once_more_whatever_fails_in_between() -> None:
    attempts = Attempts(iter([NoPicture("a"), RateLimited("b"), NotSent("c"), Unavailable("d"), NoPicture("e")]))
    with pytest.raises(NoPicture, match="e"):
        await attempts.run(ask(attempts))
    assert attempts.made == 5


@in_virtual_time
async def test_an_answer_without_a_picture_is_an_attempt_like_others() -> None:
    attempts = Attempts(iter([NoPicture("a"), NotSent("b"), NotSent("c")]))
    with pytest.raises(NotSent, match="c"):
        await attempts.run(ask(attempts, Limits(attempts=3)))


@in_virtual_time
async def test_a_run_retries_ten_at_once_and_then_as_its_successes_and_the_time_allow() -> None:
    start = anyio.current_time()
    budget = RetryBudget(clock=anyio.current_time)
    for _ in range(10):
        await budget.turn()
    assert anyio.current_time() == start
    await budget.turn()
    assert anyio.current_time() - start == pytest.approx(5)
    for _ in range(10):
        budget.succeeded()
    await budget.turn()
    assert anyio.current_time() - start == pytest.approx(5)


@in_virtual_time
async def test_retries_that_wait_come_one_by_one_and_not_as_a_herd() -> None:
    start, went = anyio.current_time(), []
    budget = RetryBudget(clock=anyio.current_time)
    for _ in range(10):
        await budget.turn()

    async def retry_later() -> None:
        await budget.turn()
        went.append(round(anyio.current_time() - start, 6))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(retry_later)
    assert went == [5, 10, 15]


@pytest.mark.parametrize("error", [GiveUp("400", cause="rejected"), ProviderUnavailable("out"), ValueError("bug")])
@in_virtual_time
async def test_what_can_not_succeed_is_not_tried_again(error: Exception) -> None:
    attempts = Attempts(repeat(error))
    with pytest.raises(type(error)) as raised:
        await attempts.run(ask(attempts))
    assert raised.value is error
    assert attempts.made == 1


@in_virtual_time
async def test_429s_use_up_no_attempts_and_wait_for_nothing_of_their_own() -> None:
    attempts = Attempts(iter([*repeat(RateLimited("429", 30.0), 200), NotSent("a")]))
    assert await attempts.run(ask(attempts, Limits(attempts=2))) == "done"
    assert attempts.made == 202
    assert attempts.waits == [0.0] * 200 + [1.0]


@in_virtual_time
async def test_429s_for_longer_than_the_patience_end_the_run() -> None:
    attempts = Attempts(repeat(RateLimited("429: slow down")))
    with pytest.raises(ProviderUnavailable, match=r"429 for 2 min 10 s \(429: slow down\): lower limits.requests_per"):
        await attempts.run(ask(attempts, Limits(patience=120)), lambda: anyio.sleep(10))
    assert anyio.current_time() == pytest.approx(140)


@in_virtual_time
async def test_any_other_answer_renews_the_patience_with_429s() -> None:
    errors = [*repeat(RateLimited("429"), 12), NotSent("a"), *repeat(RateLimited("429"), 12)]
    attempts = Attempts(iter(errors))
    assert await attempts.run(ask(attempts, Limits(patience=120)), lambda: anyio.sleep(10)) == "done"


@pytest.mark.parametrize("kind", [NotSent, Unavailable])
@in_virtual_time
async def test_failures_while_the_provider_is_out_for_everybody_use_up_no_attempts(
    kind: type[NotSent] | type[Unavailable],
) -> None:
    attempts = Attempts(iter([*(uncounted(kind("out")) for _ in range(50)), kind("a")]))
    assert await attempts.run(ask(attempts, Limits(attempts=2))) == "done"
    assert attempts.made == 52


@pytest.mark.parametrize(("asked", "waited"), [(None, 1.0), (0.0, 1.0), (0.5, 1.0), (17.0, 17.0)])
@in_virtual_time
async def test_an_unavailable_provider_is_given_the_time_it_asks_for(asked: float | None, waited: float) -> None:
    attempts = Attempts(iter([Unavailable("503", asked)]))
    await attempts.run(ask(attempts))
    assert attempts.waits == [waited]


@in_virtual_time
async def test_two_requests_count_their_failures_apart() -> None:
    for _ in range(2):
        attempts = Attempts(iter([NoPicture("a")]))
        assert await attempts.run(ask(attempts)) == "done"


@in_virtual_time
async def test_without_a_chance_of_its_own_a_policy_backs_off_all_the_same() -> None:
    attempts = Attempts(iter([NotSent("a")]))
    assert await attempts.run(asking(Limits(), sleep=attempts.sleep)) == "done"
    assert 0 <= attempts.waits[0] <= 1
    attempts = Attempts(iter([DownloadBroken("a")]))
    assert await attempts.run(fetching(sleep=attempts.sleep)) == "done"
    assert 0 <= attempts.waits[0] <= 1


@in_virtual_time
async def test_a_download_is_tried_more_often_than_a_request() -> None:
    attempts = Attempts(repeat(DownloadBroken("cut off")))
    with pytest.raises(DownloadBroken):
        await attempts.run(fetching(sleep=attempts.sleep, rng=Longest()))
    assert attempts.made == STANDARD.fetches == 6
    assert attempts.waits == [1, 2, 4, 8, 16]


@in_virtual_time
async def test_a_server_that_refuses_a_picture_is_not_asked_as_often_as_one_that_fails() -> None:
    attempts = Attempts(repeat(DownloadBroken("404", refused=True)))
    with pytest.raises(DownloadBroken):
        await attempts.run(fetching(sleep=attempts.sleep, rng=Longest()))
    assert attempts.made == STANDARD.fetches_when_refused < STANDARD.fetches


def test_a_picture_that_is_not_there_yet_is_waited_for_in_ever_longer_steps_up_to_the_end_of_patience() -> None:
    waits = list(waits_for_fresh(rng=Longest()))
    assert sum(waits) == STANDARD.fresh_patience
    assert waits[:4] == [4.0, 8.0, 16.0, 32.0]
    assert max(waits) == STANDARD.backoff_cap


@in_virtual_time
async def test_refusals_count_only_in_a_row() -> None:
    gone, broken = DownloadBroken("404", refused=True), DownloadBroken("reset")
    attempts = Attempts(iter([gone, gone, broken, gone, gone, broken]))
    with pytest.raises(DownloadBroken):
        await attempts.run(fetching(sleep=attempts.sleep, rng=Longest()))
    assert attempts.made == STANDARD.fetches


@pytest.mark.parametrize(("asked", "waited"), [(0.0, 1.0), (7.0, 7.0), (3600.0, STANDARD.backoff_cap)])
@in_virtual_time
async def test_a_cdn_is_given_the_time_it_asks_for_within_reason(asked: float, waited: float) -> None:
    attempts = Attempts(iter([DownloadBroken("503", asked)]))
    await attempts.run(fetching(sleep=attempts.sleep, rng=Longest()))
    assert attempts.waits == [waited]


@pytest.mark.parametrize("error", [GiveUp("403", cause="lost"), NotSent("a")])
@in_virtual_time
async def test_of_a_download_only_what_broke_is_tried_again(error: Exception) -> None:
    attempts = Attempts(repeat(error))
    with pytest.raises(type(error)):
        await attempts.run(fetching(sleep=attempts.sleep))
    assert attempts.made == 1


@given(number=st.integers(1, 10_000), seed=st.integers())
def test_a_backoff_is_anything_from_nothing_to_its_bound(number: int, seed: int) -> None:
    bound = min(STANDARD.backoff_cap, 2.0 ** min(number - 1, 100))
    assert 0 <= full_jitter(number, random.Random(seed)) <= bound
    assert full_jitter(number, Longest()) == bound


def test_backoffs_fill_their_whole_span() -> None:
    rng = random.Random(1)
    waits = [full_jitter(4, rng) for _ in range(1_000)]
    assert min(waits) < 0.2
    assert max(waits) > 7.8
    assert 3.7 < sum(waits) / len(waits) < 4.3
