from collections.abc import Awaitable
from functools import partial
from typing import Any

import anyio
import pytest

from pipeline.events import ImageRecorded, PlanChanged
from pipeline.listeners.on_record import RecordCaller
from pipeline.model import Record
from tests.listeners.records import record


async def told(caller: RecordCaller, *indexes: int) -> None:
    """Tell of some images, as a run does it, to its end."""
    async with anyio.create_task_group() as group:
        group.start_soon(caller.attend)
        caller(PlanChanged(1))
        for index in indexes:
            caller(ImageRecorded(record(index=index)))
        await caller.finish()


class Collected:
    def __init__(self) -> None:
        self.indexes: list[int] = []

    async def one(self, done: Record) -> None:
        """Takes the longer, the earlier it comes."""
        for _ in range(5 - done.index):
            await anyio.sleep(0)
        self.indexes.append(done.index)

    async def __call__(self, done: Record) -> None:
        await self.one(done)

    def passing_on(self, done: Record) -> Awaitable[None]:
        return self.one(done)


@pytest.mark.parametrize("kind", ["method", "partial", "object", "plain function that returns a coroutine"])
async def test_coroutines_are_awaited_one_by_one_in_the_order_of_their_records(kind: str) -> None:
    found = Collected()
    functions: dict[str, Any] = {
        "method": found.one,
        "partial": partial(found.one),
        "object": found,
        "plain function that returns a coroutine": found.passing_on,
    }
    await told(RecordCaller(functions[kind]), 0, 1, 2, 3)
    assert found.indexes == [0, 1, 2, 3]


async def test_a_plain_function_is_called_at_once() -> None:
    found: list[int] = []
    caller = RecordCaller(lambda done: found.append(done.index))
    caller(ImageRecorded(record()))
    assert found == [0]
    await told(caller)


async def test_what_a_coroutine_raises_ends_the_run_and_the_rest_is_never_begun() -> None:
    begun: list[int] = []

    async def failing(done: Record) -> None:
        begun.append(done.index)
        raise LookupError(f"no place for {done.index}")

    with pytest.raises(ExceptionGroup) as raised:
        await told(RecordCaller(failing), 0, 1, 2)
    assert (begun, str(raised.value.exceptions[0])) == ([0], "no place for 0")


async def test_a_run_that_is_cut_off_waits_for_no_coroutine() -> None:
    async def forever(_: Record) -> None:
        await anyio.sleep_forever()

    caller = RecordCaller(forever)
    async with anyio.create_task_group() as group:
        group.start_soon(caller.attend)
        for index in range(3):
            caller(ImageRecorded(record(index=index)))
        await anyio.sleep(0)
        group.cancel_scope.cancel()


def test_what_can_not_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="on_record must be a function, found str"):
        RecordCaller("x")  # type: ignore[arg-type]
