import random
from collections.abc import Callable
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.limits.rate import ConcurrencyLimiter, RateLimiter
from tests.clock import in_virtual_time, stall

RATES = (6.0, 30, 60, 60.2, 61, 90, 120, 600, 6000)


class Server:
    """A token bucket of the same rate, with a burst of one second (at least one token)."""

    def __init__(self, per_minute: float) -> None:
        self._rate = per_minute / 60
        self._burst = max(1.0, self._rate)

        self._tokens, self._before = self._burst, 0.0

    def lets_in(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + (now - self._before) * self._rate)
        self._before = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def refusals(self, arrivals: list[float]) -> int:
        return sum(not self.lets_in(now) for now in sorted(arrivals))


def paced(per_minute: float | None) -> RateLimiter:
    return RateLimiter(per_minute, clock=anyio.current_time)


async def sent_by(
    rate: RateLimiter, workers: int, until: float, work: Callable[[], float] = lambda: 0.0
) -> list[float]:
    """The moments at which workers, each busy for `work()` seconds after its turn, sent something."""
    sent: list[float] = []

    async def worker() -> None:
        while True:
            await rate.acquire()
            sent.append(anyio.current_time())
            await anyio.sleep(work())

    with anyio.move_on_at(until):
        async with anyio.create_task_group() as tasks:
            for _ in range(workers):
                tasks.start_soon(worker)
    return [moment for moment in sent if moment < until]


def on_their_way(sent: list[float], chance: random.Random) -> list[float]:
    return [max(0.0, moment + chance.uniform(-0.005, 0.005)) for moment in sent]


@pytest.mark.parametrize("per_minute", RATES)
@in_virtual_time
async def test_nearly_all_that_the_limit_allows_is_sent_and_never_more(per_minute: float) -> None:
    sent = await sent_by(paced(per_minute), 8, 60.0)
    assert 0.97 * per_minute <= len(sent) <= per_minute
    for seed in range(10):
        assert Server(per_minute).refusals(on_their_way(sent, random.Random(seed))) <= 1


@pytest.mark.parametrize("per_minute", RATES)
@in_virtual_time
async def test_turns_are_given_evenly(per_minute: float) -> None:
    sent = await sent_by(paced(per_minute), 8, 60.0)
    gaps = [later - earlier for earlier, later in pairwise(sent)]
    assert max(gaps) - min(gaps) < 1e-6


@pytest.mark.parametrize("at", [0.95, 29.97, 31.0])
@pytest.mark.parametrize("per_minute", RATES)
@in_virtual_time
async def test_a_loop_that_was_held_up_catches_up_no_further_than_the_server_bears(
    per_minute: float, at: float
) -> None:
    async def hold_up() -> None:
        await anyio.sleep(at)
        stall(0.3)

    sent: list[float] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold_up)
        sent = await sent_by(paced(per_minute), 8, 60.0)
    assert 0.97 * per_minute <= len(sent) <= per_minute
    for seed in range(10):
        assert Server(per_minute).refusals(on_their_way(sent, random.Random(seed))) <= 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("per_minute", RATES)
@in_virtual_time
async def test_a_loop_that_is_always_a_little_late_loses_nearly_nothing(per_minute: float, seed: int) -> None:
    chance = random.Random(seed)

    async def late(seconds: float) -> None:
        await anyio.sleep(seconds + chance.uniform(0.0, 0.008))

    sent = await sent_by(RateLimiter(per_minute, clock=anyio.current_time, sleep=late), 8, 60.0)
    assert 0.97 * per_minute <= len(sent) <= per_minute
    assert Server(per_minute).refusals(on_their_way(sent, chance)) <= 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("per_minute", RATES)
@in_virtual_time
async def test_a_run_with_idle_stretches_begins_no_burst(per_minute: float, seed: int) -> None:
    chance = random.Random(seed)
    sent = await sent_by(paced(per_minute), 3, 120.0, work=lambda: chance.choice([0.0, 0.1, 2.0, 7.0]))
    assert Server(per_minute).refusals(on_their_way(sent, chance)) <= 1


@in_virtual_time
async def test_the_first_turn_is_at_once_and_the_second_one_interval_later() -> None:
    sent = await sent_by(paced(600), 8, 0.15)
    assert sent == pytest.approx([0.0, 0.1002])


@in_virtual_time
async def test_slots_that_nobody_asked_for_are_gone() -> None:
    rate = paced(600)
    await rate.acquire()
    await anyio.sleep(30)
    sent = await sent_by(rate, 8, 30.95)
    assert len(sent) == 10
    assert sent[1] - sent[0] == pytest.approx(0.1002)


@in_virtual_time
async def test_turns_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    rate, order = paced(60), list[int]()

    async def ask(number: int) -> None:
        await anyio.sleep(number * 0.001)
        await rate.acquire()
        order.append(number)

    async with anyio.create_task_group() as tasks:
        for number in reversed(range(20)):
            tasks.start_soon(ask, number)
    assert order == list(range(20))


@pytest.mark.parametrize("per_minute", [None, 60, 600])
@in_virtual_time
async def test_retry_after_pauses_every_worker(per_minute: float | None) -> None:
    rate = paced(per_minute)
    sent: list[float] = []

    async def worker() -> None:
        while True:
            await rate.acquire()
            sent.append(anyio.current_time())
            await anyio.sleep(0.5)

    with anyio.move_on_at(40):
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(worker)
            await anyio.sleep(10.05)
            assert rate.pause(17.0) == 17.0
    assert any(moment <= 10.05 for moment in sent)
    assert not [moment for moment in sent if 10.05 < moment < 27.05 - 1e-9]
    assert min(moment for moment in sent if moment > 10.05) == pytest.approx(27.05)


@pytest.mark.parametrize("pauses", [(20.0, 5.0), (5.0, 20.0), (20.0, None)])
@in_virtual_time
async def test_of_pauses_that_overlap_the_one_that_ends_last_holds(pauses: tuple[float | None, ...]) -> None:
    rate = paced(600)
    for seconds in pauses:
        assert rate.pause(seconds) <= 20.0
    await rate.acquire()
    assert anyio.current_time() == pytest.approx(20.0)


@pytest.mark.parametrize("per_minute", RATES)
@in_virtual_time
async def test_after_a_pause_turns_are_given_evenly_again(per_minute: float) -> None:
    rate = paced(per_minute)
    rate.pause(30.0)
    sent = await sent_by(rate, 50, 90.0)
    gaps = [later - earlier for earlier, later in pairwise(sent)]
    assert sent[0] == pytest.approx(30.0)
    assert min(gaps) >= 60 / per_minute


@in_virtual_time
async def test_a_pause_that_begins_while_the_first_in_line_sleeps_holds_for_it_too() -> None:
    rate = paced(6)
    await rate.acquire()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rate.acquire)
        await anyio.sleep(9)
        rate.pause(60)
    assert anyio.current_time() == pytest.approx(69)


@in_virtual_time
async def test_whoever_is_cancelled_takes_no_turn_and_holds_up_nobody() -> None:
    rate, got = paced(60), list[tuple[int, float]]()
    scopes = [anyio.CancelScope() for _ in range(6)]

    async def ask(number: int) -> None:
        with scopes[number]:
            await rate.acquire()
            got.append((number, anyio.current_time()))

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(ask, number)
        await anyio.sleep(0.5)
        scopes[1].cancel()  # the first in line, asleep
        scopes[3].cancel()  # somewhere in the middle
    interval = got[1][1]
    assert [number for number, _ in got] == [0, 2, 4, 5]
    assert [moment for _, moment in got] == pytest.approx([0.0, interval, 2 * interval, 3 * interval])


@pytest.mark.parametrize("seed", range(20))
@in_virtual_time
async def test_no_cancellation_loses_or_stalls_a_turn(seed: int) -> None:
    chance, rate = random.Random(seed), paced(600)
    got: list[float] = []

    async def ask() -> None:
        await anyio.sleep(chance.uniform(0, 2))
        with anyio.move_on_after(chance.choice([0.0, 0.05, 0.1002, 1.0, 1000.0])):
            await rate.acquire()
            got.append(anyio.current_time())

    async with anyio.create_task_group() as tasks:
        for _ in range(40):
            tasks.start_soon(ask)
    assert all(later - earlier > 0.1 for earlier, later in pairwise(got))
    now = anyio.current_time()
    await rate.acquire()
    assert anyio.current_time() - now <= 0.1003


async def test_without_a_rate_thousands_of_turns_cost_next_to_nothing() -> None:
    async def no_sleep(_seconds: float) -> None:
        pytest.fail("slept")

    rate = RateLimiter(None, sleep=no_sleep)
    begun = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for _ in range(5_000):
            tasks.start_soon(rate.acquire)
    assert anyio.current_time() - begun < 2.0


@pytest.mark.parametrize("said", [None, 0.0])
@in_virtual_time
async def test_a_refusal_that_names_no_time_pauses_twice_as_long_each_time(said: float | None) -> None:
    rate, pauses = paced(None), list[float]()
    for _ in range(8):
        pauses.append(rate.pause(said))
        await rate.acquire()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    rate.accepted()
    assert rate.pause(said) == 1


@in_virtual_time
async def test_refusals_during_a_pause_do_not_prolong_it() -> None:
    rate = paced(None)
    rate.pause(None)
    await anyio.sleep(0.25)
    assert [rate.pause(None) for _ in range(7)] == [0.75] * 7
    await rate.acquire()
    assert rate.pause(None) == 2


async def answered_by(
    server: Callable[[float], bool], workers: int, until: float, said: float | None = None, latency: float = 0.2
) -> list[tuple[float, bool]]:
    """When requests reached a server whose limit nobody knows, and whether it let them in."""
    chance, rate, concurrency = random.Random(workers), paced(None), ConcurrencyLimiter(workers, adaptive=True)
    answers: list[tuple[float, bool]] = []

    async def request(epoch: int) -> None:
        await rate.acquire()
        await anyio.sleep(chance.uniform(0.001, 0.01))
        let_in = server(anyio.current_time())
        answers.append((anyio.current_time(), let_in))
        await anyio.sleep(latency * chance.uniform(0.7, 1.3) if let_in else 0.005)
        if let_in:
            concurrency.accepted()
            rate.accepted()
        else:
            concurrency.refused(epoch)
            rate.pause(said)

    async def worker() -> None:
        while True:
            epoch = await concurrency.acquire()
            try:
                await request(epoch)
            finally:
                concurrency.release()

    with anyio.move_on_at(until):
        async with anyio.create_task_group() as tasks:
            for _ in range(workers):
                tasks.start_soon(worker)
    return answers


@pytest.mark.parametrize("said", [None, 1.0, 0.1])
@pytest.mark.parametrize("latency", [0.05, 0.2])
@in_virtual_time
async def test_an_unknown_limit_is_used_and_seldom_met(said: float | None, latency: float) -> None:
    answers = await answered_by(Server(600).lets_in, 8, 60.0, said, latency)
    let_in = sum(ok for _, ok in answers)
    assert let_in >= 0.92 * 600
    assert len(answers) - let_in <= 0.05 * let_in


@pytest.mark.parametrize("said", [None, 1.0])
@in_virtual_time
async def test_many_workers_meet_an_unknown_limit_no_more_often_once_they_have_begun(said: float | None) -> None:
    answers = [ok for at, ok in await answered_by(Server(600).lets_in, 64, 120.0, said) if at >= 5]
    assert sum(answers) >= 0.92 * 600 / 60 * 115
    assert answers.count(False) <= 0.05 * sum(answers)


@in_virtual_time
async def test_without_a_rate_those_who_waited_for_a_pause_do_not_leave_all_at_once() -> None:
    rate = paced(None)
    for _ in range(20):
        await rate.acquire()
    rate.pause(5.0)
    sent = await sent_by(rate, 50, 10.0, work=lambda: 0.5)
    assert sent[0] == pytest.approx(5.0)
    assert min(later - earlier for earlier, later in pairwise(sent)) > 0.15


@pytest.mark.parametrize("said", [None, 60.0])
@in_virtual_time
async def test_a_single_refusal_is_outgrown(said: float | None) -> None:
    refusing = iter([True] * 20 + [False])
    answers = await answered_by(lambda _now: next(refusing, True), 8, 180.0, said, latency=1.0)
    assert sum(at >= 120 for at, _ in answers) > 0.9 * 8 * 60


@in_virtual_time
async def test_a_pause_of_an_hour_does_not_teach_an_hour_between_turns() -> None:
    rate = paced(None)
    await rate.acquire()
    rate.pause(3600.0)
    sent = await sent_by(rate, 1, 3660.0, work=lambda: 0.5)
    assert sent[:2] == pytest.approx([3600.0, 3610.0])
    assert len(sent) > 10


@in_virtual_time
async def test_a_known_rate_is_not_unlearned_by_refusals() -> None:
    rate = paced(600)
    for _ in range(5):
        await rate.acquire()
        rate.pause(2.0)
    sent = await sent_by(rate, 8, 20.0)
    assert [later - earlier for earlier, later in pairwise(sent)] == pytest.approx([0.1002] * (len(sent) - 1))


async def test_no_more_are_in_flight_than_the_throttle_allows() -> None:
    concurrency, busy, most = ConcurrencyLimiter(3, adaptive=False), 0, 0

    async def work() -> None:
        nonlocal busy, most
        await concurrency.acquire()
        busy += 1
        most = max(most, busy)
        await anyio.lowlevel.checkpoint()
        busy -= 1
        concurrency.release()

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(work)
    assert (most, concurrency.in_flight) == (3, 0)


async def test_a_throttle_that_does_not_adapt_never_changes() -> None:
    concurrency = ConcurrencyLimiter(8, adaptive=False)
    for _ in range(20):
        concurrency.refused(await concurrency.acquire())
        concurrency.accepted()
        concurrency.release()
    assert concurrency.limit == 8


async def test_refusals_of_requests_that_left_together_halve_the_limit_once() -> None:
    concurrency = ConcurrencyLimiter(8, adaptive=True)
    epochs = [await concurrency.acquire() for _ in range(8)]
    for epoch in epochs:
        concurrency.refused(epoch)
        concurrency.release()
    assert concurrency.limit == 4


async def test_the_limit_never_falls_below_one() -> None:
    concurrency = ConcurrencyLimiter(5, adaptive=True)
    limits = []
    for _ in range(5):
        concurrency.refused(await concurrency.acquire())
        concurrency.release()
        limits.append(concurrency.limit)
    assert limits == [2, 1, 1, 1, 1]


async def test_the_limit_grows_by_one_after_as_many_successes_as_it_allows_at_once() -> None:
    concurrency = ConcurrencyLimiter(8, adaptive=True)
    concurrency.refused(await concurrency.acquire())
    limits = []
    for _ in range(4 + 5 + 6 + 7 + 20):
        concurrency.accepted()
        limits.append(concurrency.limit)
    assert limits == [4] * 3 + [5] * 5 + [6] * 6 + [7] * 7 + [8] * 21


async def test_after_a_cut_nobody_starts_until_enough_have_returned() -> None:
    concurrency, started = ConcurrencyLimiter(4, adaptive=True), 0

    async def start() -> None:
        nonlocal started
        await concurrency.acquire()
        started += 1

    epochs = [await concurrency.acquire() for _ in range(4)]
    concurrency.refused(epochs[0])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start)
        for _ in range(2):
            concurrency.release()
            await anyio.wait_all_tasks_blocked()
            assert started == 0
        concurrency.release()
    assert (started, concurrency.in_flight) == (1, 2)


async def test_whoever_waits_longest_starts_first() -> None:
    concurrency, order = ConcurrencyLimiter(1, adaptive=False), list[int]()

    async def work(number: int) -> None:
        await concurrency.acquire()
        order.append(number)
        await anyio.lowlevel.checkpoint()
        concurrency.release()

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(work, number)
    assert order == list(range(10))


async def test_a_waiter_cancelled_right_as_it_is_let_in_gives_its_place_on() -> None:
    concurrency, scope, started = ConcurrencyLimiter(1, adaptive=False), anyio.CancelScope(), list[str]()

    async def first() -> None:
        with scope:
            await concurrency.acquire()
            started.append("first")

    async def second() -> None:
        await concurrency.acquire()
        started.append("second")

    await concurrency.acquire()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(second)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        concurrency.release()
    assert (started, concurrency.in_flight) == (["second"], 1)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), most=st.integers(1, 6))
def test_whatever_happens_the_limit_keeps_its_bounds_and_everybody_has_a_turn(seed: int, most: int) -> None:
    @in_virtual_time
    async def scenario() -> None:
        chance, concurrency = random.Random(seed), ConcurrencyLimiter(most, adaptive=True)
        busy = ended = 0

        async def work() -> None:
            nonlocal busy, ended
            await anyio.sleep(chance.uniform(0, 3))
            with anyio.move_on_after(chance.choice([0.0, 0.2, 1.0, 1000.0])):
                epoch = await concurrency.acquire()
                try:
                    busy += 1
                    assert busy <= concurrency.in_flight <= most
                    await anyio.sleep(chance.uniform(0, 1))
                    concurrency.accepted() if chance.random() < 0.7 else concurrency.refused(epoch)
                    assert 1 <= concurrency.limit <= most
                finally:
                    busy -= 1
                    concurrency.release()
            ended += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(25):
                tasks.start_soon(work)
        assert (ended, busy, concurrency.in_flight) == (25, 0, 0)

    scenario()


async def test_where_nobody_knows_what_a_server_bears_few_go_first_and_then_twice_as_many_every_round() -> None:
    concurrency = ConcurrencyLimiter(64, adaptive=True)
    rounds = []
    while concurrency.limit < 64:
        rounds.append(concurrency.limit)
        for _ in range(concurrency.limit):
            concurrency.accepted()
    assert rounds == [8, 16, 32]
    concurrency.refused(await concurrency.acquire())
    assert concurrency.limit == 32
    for _ in range(32):
        concurrency.accepted()
    assert concurrency.limit == 33, "after a refusal it grows slowly"
