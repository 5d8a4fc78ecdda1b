import anyio
import anyio.lowlevel
import pytest

from pipeline.errors import BudgetReached, Interrupted, StopRun
from pipeline.limits.stop import RunStopping, StopSignal


def test_a_gate_is_open_until_it_is_closed() -> None:
    stop = StopSignal()
    assert stop.reason is None
    reason = StopRun("enough")
    stop.request(reason)
    assert stop.reason is reason


def test_the_first_reason_stays() -> None:
    stop = StopSignal()
    first = Interrupted("stopped by SIGTERM", 143)
    stop.request(first)
    stop.request(BudgetReached("too late"))
    assert stop.reason is first


async def test_nobody_enters_a_closed_gate() -> None:
    stop = StopSignal()
    stop.request(StopRun("enough"))
    with pytest.raises(RunStopping), stop.interruptible():
        pytest.fail("entered")


async def test_whoever_waits_is_told_at_once() -> None:
    stop = StopSignal()
    told: list[int] = []

    async def wait(number: int) -> None:
        with pytest.raises(RunStopping), stop.interruptible():
            await anyio.sleep_forever()
        told.append(number)

    with anyio.fail_after(1):
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(wait, number)
            await anyio.wait_all_tasks_blocked()
            stop.request(StopRun("enough"))
    assert sorted(told) == [0, 1, 2, 3, 4]


async def test_what_ends_before_the_gate_closes_is_not_disturbed() -> None:
    stop = StopSignal()
    with stop.interruptible():
        await anyio.lowlevel.checkpoint()
    stop.request(StopRun("enough"))
    await anyio.lowlevel.checkpoint()


async def test_only_those_who_wait_to_send_are_woken() -> None:
    stop = StopSignal()
    done: list[str] = []

    async def in_flight(answer: anyio.Event) -> None:
        await answer.wait()
        done.append("answered")

    answer = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(in_flight, answer)
        await anyio.wait_all_tasks_blocked()
        stop.request(StopRun("enough"))
        await anyio.wait_all_tasks_blocked()
        assert done == []
        answer.set()
    assert done == ["answered"]


async def test_a_turn_that_has_come_is_kept_when_the_gate_closes_behind_it() -> None:
    # Otherwise a slot that was acquired could never be given back.
    stop = StopSignal()
    with stop.interruptible():
        stop.request(StopRun("enough"))
    assert stop.reason is not None


async def test_cancellation_from_outside_stays_a_cancellation() -> None:
    stop = StopSignal()
    seen: list[type[BaseException]] = []

    async def wait() -> None:
        try:
            with stop.interruptible():
                await anyio.sleep_forever()
        except BaseException as error:
            seen.append(type(error))
            raise

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert seen == [anyio.get_cancelled_exc_class()]


async def test_cancellation_from_outside_wins_over_a_gate_that_closes_with_it() -> None:
    stop = StopSignal()
    seen: list[type[BaseException]] = []

    async def wait() -> None:
        try:
            with stop.interruptible():
                await anyio.sleep_forever()
        except BaseException as error:
            seen.append(type(error))
            raise

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        stop.request(StopRun("enough"))
        group.cancel_scope.cancel()
    assert seen == [anyio.get_cancelled_exc_class()]


async def test_an_error_inside_passes_through() -> None:
    stop = StopSignal()
    with pytest.raises(KeyError), stop.interruptible():
        raise KeyError("mine")
    stop.request(StopRun("enough"))
