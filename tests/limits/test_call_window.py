import anyio
import pytest

from pipeline.limits.call_window import CallWindow
from tests.clock import in_virtual_time


@in_virtual_time
async def test_the_first_calls_go_out_at_once_and_the_next_one_when_the_first_is_old_enough() -> None:
    window, began = CallWindow(3, 60.0, clock=anyio.current_time), list[float]()
    for pause in (0.0, 10.0, 0.0, 0.0, 0.0, 0.0):
        await anyio.sleep(pause)
        await window.turn()
        began.append(anyio.current_time())
    assert began == pytest.approx([0.0, 10.0, 10.0, 60.0, 70.0, 70.0])


@in_virtual_time
async def test_no_span_ever_holds_more_calls_than_allowed_however_many_ask() -> None:
    window, began = CallWindow(5, 60.0, clock=anyio.current_time), list[float]()

    async def call() -> None:
        await window.turn()
        began.append(anyio.current_time())

    async with anyio.create_task_group() as group:
        for _ in range(23):
            group.start_soon(call)
    assert all(later - earlier >= 60.0 for earlier, later in zip(began, began[5:], strict=False))
    assert began[-1] == pytest.approx(240.0)
