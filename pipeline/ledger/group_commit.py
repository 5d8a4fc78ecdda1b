"""Group commit: whoever writes at the same moment shares one commit, and one flush of the disk.

While one batch is flushed, in a thread of its own, the next one gathers. The statements themselves are carried out in
the event loop's thread before that: they take microseconds as long as nothing is flushed, while a thread would wait
for the interpreter's lock at each of them, and everybody for the thread.
"""

import sqlite3
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import anyio

from pipeline.errors import StorageFailed
from pipeline.ledger.refusals import REFUSALS, storage_failed
from pipeline.ledger.rows import Statement

if TYPE_CHECKING:
    import asyncio

PATIENCE = 5.0
"""Seconds for which a commit waits for another program that has the ledger open, such as a backup."""


@dataclass(slots=True, eq=False)
class _Batch:
    """Statements that share a transaction.

    Attributes:
        begun: Whether the statements have been carried out, and only the commit is missing.
        error: Why nothing of it is in the ledger.
        over: Set when it is in the ledger, or has failed.
    """

    statements: list[Statement] = field(default_factory=list)
    begun: bool = False
    error: StorageFailed | None = None
    over: anyio.Event = field(default_factory=anyio.Event)


class GroupCommit:
    """Commits what many tasks write to one connection.

    All methods are for the event loop's thread, or for the only thread where there is no loop.

    Args:
        connection: To write with; nobody else does.
        path: Of the ledger, for messages.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._gathering: list[Statement] = []
        self._next: _Batch | None = None
        self._due = False
        self._thread: threading.Thread | None = None
        self._work: SimpleQueue[tuple[asyncio.AbstractEventLoop, _Batch] | None] = SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()

    def add(self, statement: Statement) -> None:
        """Let a statement go with the next commit, whenever there is one; nobody waits for it."""
        self._gathering.append(statement)

    async def write(self, *statements: Statement) -> None:
        """Return once the statements are in the ledger, and durable.

        What has begun is seen through: a cancellation waits for it, for whoever is cancelled must not take it for
        undone.

        Raises:
            StorageFailed: Nothing of it is in the ledger, nor of what others wrote with the same commit.
        """
        self._start()
        self._gathering += statements
        if self._next is None:
            self._next = _Batch()
            self._plan()
        batch = self._next
        with anyio.CancelScope(shield=True):
            await batch.over.wait()
        if batch.error is not None:
            raise batch.error

    def write_now(self, *statements: Statement) -> None:
        """What `write` does, in the caller's thread: for what happens when nothing else does.

        Raises:
            StorageFailed: As there.
        """
        self._idle.wait()
        self._gathering += statements
        batch = self._taken()
        self._commit(batch)
        batch.over.set()
        if batch.error is not None:
            raise batch.error

    def close(self) -> None:
        """Commit what still waits, and end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._work.put(None)
            thread.join()
        if self._gathering:
            self._commit(self._taken())

    def _start(self) -> None:
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise StorageFailed(
                f"the ledger {self._path} can't be written: {error}; end some other programs, then run again (nothing "
                "that was paid for is lost)"
            ) from None
        self._thread = thread

    def _taken(self) -> _Batch:
        """The batch that gathers, with all that has gathered; it is the caller's now."""
        batch, self._next = self._next or _Batch(), None
        batch.statements, self._gathering = self._gathering, []
        return batch

    def _plan(self) -> None:
        """Let the batch that gathers go as soon as the thread is free for it."""
        if self._next is None or self._due or not self._idle.is_set():
            return
        self._due = True
        # Not at once: others that are about to run may write something as well.
        _loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._due = False
        if self._next is None:  # `write_now` took it along
            return
        batch = self._taken()
        self._idle.clear()
        try:
            if not any(_is_large(statement) for statement in batch.statements):
                self._begin(batch, 0.0)
        except Exception:
            # Another program writes, or the disk refuses: the thread waits for the one and tells of the other.
            self._roll_back()
        self._work.put((_loop(), batch))

    def _run(self) -> None:
        """The thread."""
        while (work := self._work.get()) is not None:
            loop, batch = work
            self._commit(batch)
            self._idle.set()
            # A loop that has ended has nobody who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._over, batch)

    def _over(self, batch: _Batch) -> None:
        batch.over.set()
        self._plan()

    # One transaction for all; when it fails it fails for all, and nothing of it is kept.

    def _begin(self, batch: _Batch, patience: float) -> None:
        execute = self._connection.execute
        execute(f"PRAGMA busy_timeout = {patience * 1000:.0f}")
        execute("BEGIN IMMEDIATE")
        for sql, parameters in batch.statements:
            execute(sql, parameters)
        batch.begun = True

    def _commit(self, batch: _Batch) -> None:
        try:
            if not batch.begun:
                self._begin(batch, PATIENCE)
            self._connection.execute("COMMIT")
        except REFUSALS as error:
            batch.error = storage_failed(self._path, error)
        except Exception as error:
            # A mistake of the program, and still nobody may wait for ever, or take it for done.
            batch.error = StorageFailed(f"the ledger {self._path} can't be written: {error!r}")
        if batch.error is not None:
            self._roll_back()

    def _roll_back(self) -> None:
        # A disk that refuses this too leaves a transaction that the next connection rolls back.
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _loop() -> "asyncio.AbstractEventLoop":
    # Imported here: whoever writes without a loop, as a run with nothing to do, is spared it.
    import asyncio

    return asyncio.get_running_loop()


def _is_large(statement: Statement) -> bool:
    """Whether it takes long enough to store that it is better left to the thread: it is part of a large answer."""
    return any(isinstance(value, memoryview) for value in statement[1])
