import anyio
import pytest

from pipeline.http.byte_budget import STALLED, ByteBudget, Share
from tests.clock import in_virtual_time

MB = 1_000_000


async def taking(share: Share, size: int, done: list[str], name: str) -> None:
    await share.take(size)
    done.append(name)


@in_virtual_time
async def test_what_fits_is_given_at_once_and_comes_back() -> None:
    room = ByteBudget(10 * MB)
    for _ in range(3):
        with room.share() as share:
            assert share.took(10 * MB)
    with room.share() as share:
        assert share.took(10 * MB)


@in_virtual_time
async def test_answers_wait_in_turn_until_another_is_done() -> None:
    room, done = ByteBudget(10 * MB), list[str]()
    with room.share() as second, room.share() as third:
        async with anyio.create_task_group() as group:
            with room.share() as first, room.share() as over:
                assert first.took(9 * MB)
                assert over.took(2 * MB)
                group.start_soon(taking, second, 5 * MB, done, "second")
                group.start_soon(taking, third, 5 * MB, done, "third")
                await anyio.sleep(1)
                assert done == []
    assert done == ["second", "third"]


@in_virtual_time
async def test_one_answer_may_be_larger_than_all_the_room() -> None:
    room = ByteBudget(MB)
    with room.share() as share:
        await share.take(30 * MB)
        assert share.held == 30 * MB


@in_virtual_time
async def test_the_one_that_is_over_the_budget_goes_on_before_those_that_wait() -> None:
    room, done = ByteBudget(MB), list[str]()
    with room.share() as small, room.share() as large:
        async with anyio.create_task_group() as group:
            await large.take(2 * MB)
            group.start_soon(taking, small, MB, done, "small")
            await anyio.sleep(0.1)
            assert large.took(2 * MB)
            await anyio.sleep(0.1)
            assert done == []
            group.cancel_scope.cancel()


@in_virtual_time
async def test_one_that_stalls_over_the_budget_does_not_hold_up_the_others() -> None:
    room, done = ByteBudget(MB), list[str]()
    with room.share() as stalled, room.share() as other:
        await stalled.take(2 * MB)
        began = anyio.current_time()
        with anyio.fail_after(10 * STALLED):
            await taking(other, MB, done, "other")
        assert done == ["other"]
        assert anyio.current_time() - began <= 3 * STALLED


@in_virtual_time
async def test_one_that_is_whole_is_waited_for_however_long_it_takes_to_be_written_down() -> None:
    room, done = ByteBudget(MB), list[str]()
    with room.share() as other:
        async with anyio.create_task_group() as group:
            with room.share() as whole:
                await whole.take(2 * MB)
                whole.complete()
                group.start_soon(taking, other, MB, done, "other")
                await anyio.sleep(10 * STALLED)
                assert done == []
    assert done == ["other"]


@in_virtual_time
async def test_one_that_gives_up_waiting_leaves_the_line() -> None:
    room = ByteBudget(10 * MB)
    with room.share() as first, room.share() as gone, room.share() as third, room.share() as over:
        assert first.took(10 * MB)
        assert over.took(1)
        with anyio.move_on_after(0.1) as scope:
            await gone.take(MB)
        assert scope.cancelled_caught
        over.__exit__(None, None, None)
        first.__exit__(None, None, None)
        assert third.took(10 * MB)


@pytest.mark.parametrize("size", [0, 1])
async def test_a_share_that_took_nothing_gives_nothing_back(size: int) -> None:
    room = ByteBudget(size)
    with room.share():
        pass
    with room.share() as share:
        assert share.took(size)
