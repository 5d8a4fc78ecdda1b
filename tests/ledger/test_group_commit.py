import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from pipeline.errors import StorageFailed
from pipeline.ledger import Ledger
from pipeline.ledger.rows import LARGE_ANSWER
from tests.ledger.rows import AT, RUN, item, saved_row
from tests.ledger.test_writing import opened, pay


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


async def intended(ledger: Ledger, *attempts: str) -> None:
    """All of these, at once."""
    async with anyio.create_task_group() as group:
        for attempt in attempts:
            group.start_soon(ledger.intend, attempt, RUN, item(), (0,), 1, AT)


def written(ledger: Ledger) -> set[str]:
    return {attempt.id for attempt in ledger.attempts("key-1")}


@contextmanager
def held_up(path: Path) -> Iterator[sqlite3.Connection]:
    """Nothing is committed before somebody commits here."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        yield blocker


def count_commits(ledger: Ledger) -> Callable[[], int]:
    seen: list[str] = []
    ledger._writer.set_trace_callback(lambda sql: seen.append(sql) if sql == "COMMIT" else None)
    return lambda: len(seen)


async def test_64_writers_at_once_share_a_handful_of_commits(path: Path) -> None:
    with opened(path) as ledger:
        commits = count_commits(ledger)
        async with anyio.create_task_group() as group:
            for number in range(64):
                group.start_soon(ledger.intend, f"a-{number}", RUN, item(), (number,), 1, AT)
        assert commits() <= 4
        ledger._writer.set_trace_callback(None)
        assert {attempt.indexes[0] for attempt in ledger.attempts("key-1")} == set(range(64))


async def test_a_commit_does_not_hold_up_the_event_loop(path: Path) -> None:
    turns = 0
    with opened(path) as ledger:

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await anyio.sleep(0)

        with closing(sqlite3.connect(path, isolation_level=None)) as blocker:
            blocker.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as group:
                group.start_soon(other)
                group.start_soon(ledger.intend, "a-1", RUN, item(), (0,), 1, AT)
                await anyio.sleep(0.02)
                assert turns > 10
                blocker.execute("COMMIT")
                while not ledger.attempts("key-1"):
                    await anyio.sleep(0.001)
                group.cancel_scope.cancel()


async def test_a_commit_that_fails_fails_for_all_that_shared_it_and_keeps_nothing(path: Path) -> None:
    failed: dict[int, str] = {}
    with opened(path) as ledger:
        ledger._writer.execute(
            "CREATE TRIGGER full BEFORE INSERT ON attempts WHEN NEW.id = 'a-5' "
            "BEGIN SELECT RAISE(ABORT, 'the fifth is refused'); END"
        )

        async def write(number: int) -> None:
            try:
                await ledger.intend(f"a-{number}", RUN, item(), (number,), 1, AT)
            except StorageFailed as error:
                failed[number] = str(error)

        with closing(sqlite3.connect(path, isolation_level=None)) as blocker:
            # So that all of them wait for the same commit.
            blocker.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as group:
                group.start_soon(write, 100)
                await anyio.sleep(0.02)
                for number in range(10):
                    group.start_soon(write, number)
                await anyio.sleep(0.02)
                blocker.execute("COMMIT")
        assert sorted(failed) == list(range(10))
        assert all("the fifth is refused" in error for error in failed.values())
        assert [attempt.id for attempt in ledger.attempts("key-1")] == ["a-100"]

        await ledger.intend("a-6", RUN, item(), (0,), 1, AT)
        assert len(ledger.attempts("key-1")) == 2


async def test_a_full_disk_is_an_error_that_loses_nothing_written_before(path: Path) -> None:
    with opened(path) as ledger:
        await pay(ledger, "a-1")
        (pages,) = ledger._writer.execute("PRAGMA page_count").fetchone()
        ledger._writer.execute(f"PRAGMA max_page_count = {pages}")
        await ledger.intend("a-2", RUN, item(), (0,), 1, AT)
        with pytest.raises(StorageFailed, match=r"can't be used: .*check the disk's space") as failed:
            await ledger.paid("a-2", AT, status=200, answer=b"x" * 100_000, inference_id=None, made_by=None)
        assert failed.value.exit_code == 6
        assert [attempt.state for attempt in ledger.attempts("key-1")] == ["paid", "intent"]

        ledger._writer.execute("PRAGMA max_page_count = 100000")
        await ledger.paid("a-2", AT, status=200, answer=b"x" * 100_000, inference_id=None, made_by=None)
        assert [attempt.state for attempt in ledger.attempts("key-1")] == ["paid", "paid"]


@pytest.mark.parametrize("unstorable", ["lone surrogate \ud800", 2**63], ids=["text", "number"])
async def test_a_value_that_sqlite_can_not_hold_fails_the_write_and_not_the_ledger(
    path: Path, unstorable: str | int
) -> None:
    with opened(path) as ledger:
        row = saved_row(url=unstorable) if isinstance(unstorable, str) else saved_row(bytes=unstorable)
        failed: list[str] = []

        async def save() -> None:
            with pytest.raises(StorageFailed):
                await ledger.saved(item(), row)
            failed.append("image")

        async def intend() -> None:
            try:
                await ledger.intend("a-1", RUN, item(), (0,), 1, AT)
            except StorageFailed:
                failed.append("intent")

        async with anyio.create_task_group() as group:
            group.start_soon(save)
            group.start_soon(intend)
        assert "image" in failed
        # Either it is there, or its writer was told that it is not.
        assert bool(ledger.attempts("key-1")) is not ("intent" in failed)

        await ledger.intend("a-2", RUN, item(), (0,), 1, AT)
        assert ledger.attempts("key-1")[-1].id == "a-2"


async def test_a_commit_whose_thread_can_not_start_is_no_success_for_anyone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with opened(path) as ledger:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_thread)
            for number in range(2):
                with pytest.raises(StorageFailed, match="can't start new thread"):
                    await ledger.intend(f"a-{number}", RUN, item(), (number,), 1, AT)
        await ledger.intend("a-9", RUN, item(), (9,), 1, AT)
        assert [attempt.id for attempt in ledger.attempts("key-1")] == ["a-9"]


async def test_a_cancelled_writer_neither_loses_nor_tears_what_others_write(path: Path) -> None:
    with opened(path) as ledger:
        with closing(sqlite3.connect(path, isolation_level=None)) as blocker:
            blocker.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as group, anyio.create_task_group() as doomed:
                doomed.start_soon(ledger.intend, "first-in-line", RUN, item(), (0,), 1, AT)
                doomed.start_soon(ledger.intend, "waiting", RUN, item(), (1,), 1, AT)
                await anyio.sleep(0.02)
                group.start_soon(ledger.intend, "other", RUN, item(), (2,), 1, AT)
                doomed.cancel_scope.cancel()
                blocker.execute("COMMIT")
        # A commit that has begun is seen through: what was cancelled is there as well, and whole.
        assert {attempt.id for attempt in ledger.attempts("key-1")} == {"first-in-line", "waiting", "other"}


async def test_a_writer_that_was_cancelled_before_it_came_still_writes(path: Path) -> None:
    # What a stopped run does last is to write down what became of its requests.
    with opened(path) as ledger:
        await ledger.intend("a-1", RUN, item(), (0,), 1, AT)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await ledger.outcome("a-1", "maybe", AT, error="stopped")
        assert ledger.attempts("key-1")[0].state == "maybe"


async def test_what_comes_while_a_commit_is_under_way_shares_the_next_one(path: Path) -> None:
    with opened(path) as ledger:
        commits = count_commits(ledger)
        async with anyio.create_task_group() as group:
            with held_up(path) as blocker:
                group.start_soon(intended, ledger, "first")
                await anyio.sleep(0.02)
                group.start_soon(intended, ledger, *(f"a-{number}" for number in range(100)))
                await anyio.sleep(0.02)
                blocker.execute("COMMIT")
        assert commits() == 2
        ledger._writer.set_trace_callback(None)
        assert len(written(ledger)) == 101


async def test_what_is_written_at_once_waits_for_the_commit_under_way(path: Path) -> None:
    with opened(path) as ledger:
        async with anyio.create_task_group() as group:
            with held_up(path) as blocker:
                group.start_soon(intended, ledger, "first")
                await anyio.sleep(0.02)
                threading.Timer(0.02, blocker.execute, ["COMMIT"]).start()
                ledger.stamp("facts")
        assert written(ledger) == {"first"}
        assert ledger._writer.execute("SELECT facts FROM stamp").fetchall() == [("facts",)]


async def test_what_is_written_at_once_takes_along_those_who_wait(path: Path) -> None:
    with opened(path) as ledger:
        commits = count_commits(ledger)
        async with anyio.create_task_group() as group:
            group.start_soon(ledger.intend, "waiting", RUN, item(), (0,), 1, AT)
            await anyio.lowlevel.checkpoint()
            ledger.stamp("facts")
        assert commits() == 1
        ledger._writer.set_trace_callback(None)
        assert written(ledger) == {"waiting"}


async def test_who_waits_learns_that_what_was_written_at_once_has_failed(path: Path) -> None:
    failed: list[str] = []

    async def wait(ledger: Ledger) -> None:
        try:
            await ledger.intend("waiting", RUN, item(), (0,), 1, AT)
        except StorageFailed as error:
            failed.append(str(error))

    with opened(path) as ledger:
        async with anyio.create_task_group() as group:
            group.start_soon(wait, ledger)
            await anyio.lowlevel.checkpoint()
            with pytest.raises(StorageFailed):
                ledger.stamp("lone surrogate \ud800")
        assert len(failed) == 1
        assert written(ledger) == set()


async def test_a_mistake_of_the_program_leaves_nobody_waiting(path: Path) -> None:
    with opened(path) as ledger:
        with anyio.fail_after(5), pytest.raises(StorageFailed, match="can't be written"):
            await ledger._committer.write((None, ()))  # type: ignore[arg-type]
        await ledger.intend("a-1", RUN, item(), (0,), 1, AT)
        assert written(ledger) == {"a-1"}


async def test_what_takes_long_to_store_is_stored_in_the_thread(path: Path) -> None:
    seen: dict[str, set[str]] = {}

    def trace(sql: str) -> None:
        seen.setdefault(sql.split(maxsplit=1)[0], set()).add(threading.current_thread().name)

    with opened(path) as ledger:
        ledger._writer.set_trace_callback(trace)
        await pay(ledger, "a-1", size=LARGE_ANSWER)
        assert (seen.pop("UPDATE"), seen.pop("COMMIT")) == ({"MainThread"}, {"ledger"})
        await pay(ledger, "a-2", size=LARGE_ANSWER + 1)
        assert "ledger" in seen["UPDATE"]
        ledger._writer.set_trace_callback(None)


async def test_the_thread_ends_with_the_ledger(path: Path) -> None:
    with opened(path) as ledger:
        await pay(ledger, "a-1")
        assert "ledger" in {thread.name for thread in threading.enumerate()}
    assert "ledger" not in {thread.name for thread in threading.enumerate()}
