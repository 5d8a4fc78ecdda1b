from collections.abc import Iterator

import anyio
import anyio.lowlevel
import pytest

from pipeline.run.pool import run_pool


async def test_each_piece_is_done_exactly_once() -> None:
    done: list[int] = []

    async def do(piece: int) -> None:
        await anyio.lowlevel.checkpoint()
        done.append(piece)

    await run_pool(7, iter(range(100)), do, is_open=lambda: True)
    assert sorted(done) == list(range(100))


async def test_the_iterator_is_drawn_no_further_than_the_workers_are() -> None:
    drawn: list[int] = []
    finished = 0

    def pieces() -> Iterator[int]:
        for piece in range(50):
            drawn.append(piece)
            yield piece

    async def do(_piece: int) -> None:
        nonlocal finished
        assert len(drawn) - finished <= 3
        await anyio.lowlevel.checkpoint()
        finished += 1

    await run_pool(3, pieces(), do, is_open=lambda: True)
    assert finished == 50


async def test_no_more_pieces_are_in_work_than_there_are_workers() -> None:
    busy = most = 0

    async def do(_piece: int) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await anyio.lowlevel.checkpoint()
        busy -= 1

    await run_pool(4, iter(range(40)), do, is_open=lambda: True)
    assert most == 4


async def test_a_slow_piece_holds_up_nobody_else() -> None:
    others_done = anyio.Event()
    done: list[int] = []

    async def do(piece: int) -> None:
        if piece == 0:
            await others_done.wait()
        done.append(piece)
        if len(done) == 19:
            others_done.set()

    with anyio.fail_after(1):
        await run_pool(2, iter(range(20)), do, is_open=lambda: True)
    assert done == [*range(1, 20), 0]


async def test_once_closed_nothing_is_handed_out_and_what_is_in_work_is_finished() -> None:
    is_open = True
    started: list[int] = []
    finished: list[int] = []

    async def do(piece: int) -> None:
        nonlocal is_open
        started.append(piece)
        await anyio.lowlevel.checkpoint()
        if piece == 3:
            is_open = False
        await anyio.lowlevel.checkpoint()
        finished.append(piece)

    pieces = iter(range(100))
    await run_pool(4, pieces, do, is_open=lambda: is_open)
    assert started == [0, 1, 2, 3]
    assert sorted(finished) == started
    assert next(pieces) == 4


async def test_a_closed_pool_draws_nothing_at_all() -> None:
    async def do(_piece: int) -> None:
        pytest.fail("done")

    pieces = iter(range(3))
    await run_pool(4, pieces, do, is_open=lambda: False)
    assert list(pieces) == [0, 1, 2]


async def test_pieces_without_any_waiting_leave_the_loop_to_others() -> None:
    seen_by_other: list[int] = []
    done = 0

    async def do(_piece: int) -> None:
        nonlocal done
        done += 1

    async def other() -> None:
        while done < 100:
            seen_by_other.append(done)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        await run_pool(1, iter(range(100)), do, is_open=lambda: True)
    assert len(seen_by_other) > 50


async def test_an_error_ends_the_whole_pool() -> None:
    cancelled: list[int] = []

    async def do(piece: int) -> None:
        if piece == 2:
            raise KeyError(piece)
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled.append(piece)
            raise

    with pytest.raises(ExceptionGroup) as raised:
        await run_pool(3, iter(range(10)), do, is_open=lambda: True)
    assert [type(error) for error in raised.value.exceptions] == [KeyError]
    assert sorted(cancelled) == [0, 1]


async def test_a_pool_without_pieces_ends_at_once() -> None:
    async def do(_piece: int) -> None:
        pytest.fail("done")

    await run_pool(3, iter(()), do, is_open=lambda: True)
