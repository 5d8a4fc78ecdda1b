"""Hand out work: each piece once, to the next free worker, taken from the iterator only when someone can do it."""

from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import anyio
import anyio.lowlevel

Work = TypeVar("Work")


async def run_pool(
    workers: int,
    pieces: Iterator[Work],
    do: Callable[[Work], Awaitable[None]],
    *,
    is_open: Callable[[], bool],
) -> None:
    """Do all the pieces with this many workers; return when the last one is done.

    The iterator is drawn lazily, so memory does not grow with the number of pieces. An exception of `do` ends the
    whole pool: items that merely fail must be dealt with inside `do`.

    Args:
        workers: Pieces in work at once, at most.
        pieces: What there is to do.
        do: Does one piece.
        is_open: Asked before each piece; once false, no further piece is handed out.
    """

    async def work() -> None:
        while is_open():
            piece = next(pieces, None)
            if piece is None:
                return
            await do(piece)
            # A piece that needed no waiting must not keep the loop from everyone else.
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        for _ in range(workers):
            group.start_soon(work)
