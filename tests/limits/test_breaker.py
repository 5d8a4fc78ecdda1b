import random
from itertools import pairwise

import anyio
import pytest

from pipeline.errors import NotSent, ProviderUnavailable, Unavailable
from pipeline.limits.breaker import CircuitBreaker
from pipeline.limits.policy import STANDARD
from tests.clock import in_virtual_time


def breaker_of(patience: float = 1800.0, seed: int = 1) -> CircuitBreaker:
    return CircuitBreaker(patience, clock=anyio.current_time, rng=random.Random(seed))


def outage_at_rest() -> CircuitBreaker:
    return CircuitBreaker(1800.0, clock=lambda: 0.0)


def begun(breaker: CircuitBreaker) -> CircuitBreaker:
    for number in range(STANDARD.outage_failures):
        breaker.record_failure(f"item-{number % 2}", Unavailable("503: overloaded"))
    assert breaker.is_open
    return breaker


@in_virtual_time
async def test_while_all_is_well_nobody_waits() -> None:
    breaker = breaker_of()
    await breaker.allow()
    assert anyio.current_time() == 0
    assert not breaker.is_open


def test_it_is_an_outage_after_five_failures_in_a_row_of_two_items() -> None:
    breaker = outage_at_rest()
    assert [breaker.record_failure(item, NotSent("no route")) for item in "aaaab"] == [False] * 4 + [True]
    assert breaker.is_open


@in_virtual_time
async def test_an_outage_that_goes_on_is_told_of_every_five_minutes_with_the_time_that_is_left() -> None:
    breaker = begun(breaker_of())
    told = []
    for _ in range(20):
        await anyio.sleep(50)
        if breaker.record_failure("a", Unavailable("503: overloaded")):
            told.append(breaker.left)
    assert told == [1500.0, 1200.0, 900.0]


def test_a_single_item_is_never_an_outage() -> None:
    breaker = outage_at_rest()
    assert not any(breaker.record_failure("a", Unavailable("500")) for _ in range(1_000))
    assert not breaker.is_open


def test_the_second_item_may_come_late() -> None:
    breaker = outage_at_rest()
    for _ in range(20):
        breaker.record_failure("a", Unavailable("500"))
    assert breaker.record_failure("b", Unavailable("500"))


def test_a_success_in_between_begins_the_count_anew() -> None:
    breaker = outage_at_rest()
    for item in "abab":
        breaker.record_failure(item, Unavailable("500"))
    breaker.record_success()
    assert [breaker.record_failure(item, Unavailable("500")) for item in "ababa"] == [False] * 4 + [True]
    breaker.record_success()
    assert not any(breaker.record_failure("a", Unavailable("500")) for _ in range(20))


def test_only_the_failures_before_an_outage_use_up_attempts() -> None:
    breaker = outage_at_rest()
    errors: list[NotSent | Unavailable] = [Unavailable("503") for _ in range(STANDARD.outage_failures)]
    errors += [NotSent("no route"), Unavailable("503")]
    opened = [breaker.record_failure(f"item-{number}", error) for number, error in enumerate(errors)]
    assert [error.counted for error in errors] == [True] * 4 + [False] * 3
    assert opened.count(True) == 1
    breaker.record_success()
    error = NotSent("no route")
    breaker.record_failure("a", error)
    assert error.counted


@pytest.mark.parametrize("seed", range(5))
@in_virtual_time
async def test_during_an_outage_one_goes_at_a_time_as_a_probe(seed: int) -> None:
    breaker, probes = begun(breaker_of(seed=seed)), list[float]()

    async def worker(number: int) -> None:
        while True:
            await breaker.allow()
            probes.append(anyio.current_time())
            breaker.record_failure(f"item-{number}", Unavailable("503"))

    with anyio.move_on_at(1_200):
        async with anyio.create_task_group() as tasks:
            for number in range(32):
                tasks.start_soon(worker, number)
    gaps = [later - earlier for earlier, later in pairwise([0.0, *probes])]
    least, most = STANDARD.probe_every
    assert all(least <= gap <= most + 1e-6 for gap in gaps)
    assert 1_200 / most - 1 <= len(probes) <= 1_200 / least
    assert max(gaps) - min(gaps) > 5


@in_virtual_time
async def test_a_probe_that_hangs_keeps_no_other_from_going() -> None:
    breaker, probes = begun(breaker_of()), list[float]()

    async def worker() -> None:
        await breaker.allow()
        probes.append(anyio.current_time())
        await anyio.sleep(600)

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(worker)
    assert len(probes) == 4
    assert max(probes) <= 4 * 60 + 1e-6


@in_virtual_time
async def test_one_success_lets_everybody_go_at_once() -> None:
    breaker, left = begun(breaker_of()), list[float]()

    async def worker() -> None:
        await breaker.allow()
        left.append(anyio.current_time())

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(worker)
        await anyio.sleep(17)
        breaker.record_success()
    assert left == [17.0] * 10
    assert not breaker.is_open
    await breaker.allow()


@in_virtual_time
async def test_after_an_outage_there_may_be_another() -> None:
    breaker = begun(breaker_of())
    breaker.record_success()
    begun(breaker)
    before = anyio.current_time()
    await breaker.allow()
    assert anyio.current_time() - before >= 30


@in_virtual_time
async def test_an_outage_that_outlasts_the_patience_ends_the_run_for_whoever_waits() -> None:
    breaker, ended = begun(breaker_of(patience=300)), list[float]()

    async def probing() -> None:
        while True:
            await breaker.allow()

    async def worker() -> None:
        told = "unavailable for 5 min 0 s: 503: overloaded; everything so far is recorded"
        with pytest.raises(ProviderUnavailable, match=told):
            await probing()
        ended.append(anyio.current_time())

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(worker)
    assert ended == pytest.approx([300.0] * 4)


@in_virtual_time
async def test_the_patience_counts_from_the_beginning_of_this_outage() -> None:
    breaker = begun(breaker_of(patience=300))
    await anyio.sleep(299)
    breaker.record_success()
    begun(breaker)
    await breaker.allow()
    assert anyio.current_time() < 299 + 61


@in_virtual_time
async def test_whoever_is_cancelled_while_waiting_keeps_no_probe() -> None:
    breaker, probes = begun(breaker_of()), list[float]()

    async def worker() -> None:
        await breaker.allow()
        probes.append(anyio.current_time())

    async with anyio.create_task_group() as tasks:
        with anyio.move_on_after(10):
            await breaker.allow()
        tasks.start_soon(worker)
    assert len(probes) == 1
    assert probes[0] <= 60


def test_without_a_clock_of_its_own_it_keeps_real_time() -> None:
    assert begun(CircuitBreaker(1800.0)).is_open
