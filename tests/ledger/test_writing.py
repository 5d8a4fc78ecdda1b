import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StorageFailed
from pipeline.ledger import Ledger, LedgerReader
from tests.ledger.rows import AT, RUN, item, saved_row


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def opened(path: Path) -> Ledger:
    ledger = Ledger(path)
    ledger.start_run(RUN, AT, "aimlapi")
    return ledger


def committed(path: Path, query: str) -> list[tuple[Any, ...]]:
    """What another connection sees."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


async def pay(
    ledger: Ledger, attempt: str, key: str = "key-1", indexes: tuple[int, ...] = (0,), size: int = 10
) -> None:
    await ledger.intend(attempt, RUN, item(key), indexes, 126_000, AT)
    await ledger.paid(attempt, AT, status=200, answer=b"x" * size, inference_id="inf", made_by=None)
    ledger.understood(attempt, len(indexes), 126_000, 0.063)


def test_the_ledger_survives_a_power_cut_by_its_settings(path: Path) -> None:
    with opened(path) as ledger:
        (mode,) = ledger._writer.execute("PRAGMA journal_mode").fetchone()
        (synchronous,) = ledger._writer.execute("PRAGMA synchronous").fetchone()
    assert (mode, synchronous) == ("wal", 2)


async def test_an_intent_is_seen_by_others_before_it_may_be_sent(path: Path) -> None:
    with opened(path) as ledger:
        await ledger.intend("a-1", RUN, item(), (0, 2), 252_000, AT)
        query = "SELECT id, run, key, item, model, indexes, price, state FROM attempts"
        assert committed(path, query) == [
            ("a-1", RUN, "key-1", "hero", "google/imagen-4.0-ultra-generate-001", "[0, 2]", 252_000, "intent")
        ]


KILLED = """
import os, sys
from pathlib import Path
import anyio
from pipeline.ledger import Ledger
from tests.ledger.rows import AT, RUN, item, saved_row

async def main():
    ledger = Ledger(Path(sys.argv[1]))
    ledger.start_run(RUN, AT, "aimlapi")
    await ledger.intend("paid", RUN, item(), (0,), 1, AT)
    await ledger.paid("paid", AT, status=200, answer=b"the answer", inference_id="inf", made_by=None)
    await ledger.intend("open", RUN, item("key-2", "other"), (0,), 1, AT)
    os._exit(9)

anyio.run(main)
"""


def test_what_was_written_before_a_kill_is_there_after_it(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == 9
    with Ledger(path) as ledger:
        (paid,) = ledger.attempts("key-1")
        (left,) = ledger.attempts("key-2")
        assert (paid.state, paid.answer, paid.inference_id) == ("paid", b"the answer", "inf")
        assert left.state == "intent"
        assert ledger.killed_runs() == 1

        ledger.start_run("run-2", AT, "aimlapi")
        (left,) = ledger.attempts("key-2")
        assert left.state == "maybe"
        assert "killed" in (left.error or "")
        assert [attempt.id for attempt in ledger.maybe_billed()] == ["open"]
        assert ledger.attempts("key-1")[0].state == "paid"

        ledger.end_run("run-2", AT, 0)
        assert ledger.maybe_billed() == []
        assert ledger.killed_runs() == 0


async def test_the_next_run_takes_over_what_a_killed_run_had_not_reported(path: Path) -> None:
    with opened(path) as ledger:
        await ledger.intend("a-1", RUN, item(), (0,), 1, AT)
        await ledger.outcome("a-1", "maybe", AT, error="no answer came")
    with Ledger(path) as ledger:
        ledger.start_run("run-2", AT, "aimlapi")
        assert [attempt.id for attempt in ledger.maybe_billed()] == ["a-1"]
        ledger.end_run("run-2", AT, 0)
        ledger.start_run("run-3", AT, "aimlapi")
        assert ledger.maybe_billed() == []


async def test_an_attempt_that_came_to_nothing_keeps_its_answer_and_says_why(path: Path) -> None:
    with opened(path) as ledger:
        await ledger.intend("a-1", RUN, item(), (0,), None, AT)
        await ledger.outcome("a-1", "maybe", AT, status=502, error="502: <html>", answer=b"<html>")
        (attempt,) = ledger.attempts("key-1")
        assert (attempt.state, attempt.answer, attempt.error, attempt.price) == (
            "maybe",
            b"<html>",
            "502: <html>",
            None,
        )


async def test_a_paid_answer_that_can_not_be_read_is_kept_as_it_came(path: Path) -> None:
    with opened(path) as ledger:
        await pay(ledger, "a-1")
        await ledger.outcome("a-1", "maybe", AT, error="can't be read")
        (attempt,) = ledger.attempts("key-1")
        assert (attempt.state, attempt.answer) == ("maybe", b"x" * 10)


async def test_any_bytes_may_be_an_answer(path: Path) -> None:
    answer = bytes(range(256)) * 2
    with opened(path) as ledger:
        await ledger.intend("a-1", RUN, item(), (0,), 1, AT)
        await ledger.paid("a-1", AT, status=200, answer=answer, inference_id=None, made_by="http://127.0.0.1:1")
        (attempt,) = ledger.attempts("key-1")
        assert (attempt.answer, attempt.made_by) == (answer, "http://127.0.0.1:1")


async def test_what_an_answer_cost_is_written_with_whatever_comes_next(path: Path) -> None:
    with opened(path) as ledger:
        await pay(ledger, "a-1")
        assert ledger.attempts("key-1")[0].tokens is None
        await ledger.saved(item(), saved_row(attempt="a-1"))
        (attempt,) = ledger.attempts("key-1")
        assert (attempt.delivered, attempt.tokens, attempt.usd) == (1, 126_000, 0.063)
        assert ledger.totals() == (1, 126_000, 0.063)


async def test_what_an_answer_cost_is_written_at_the_end_when_nothing_else_comes(path: Path) -> None:
    with opened(path) as ledger:
        await pay(ledger, "a-1")
    assert committed(path, "SELECT delivered, tokens FROM attempts") == [(1, 126_000)]


# Large answers.


async def test_a_large_answer_is_dropped_once_all_its_pictures_are_files(path: Path) -> None:
    with opened(path) as ledger:
        await pay(ledger, "a-1", indexes=(0, 1), size=300_000)
        await ledger.saved(item(), saved_row(0, attempt="a-1"))
        assert ledger.attempts("key-1")[0].answer is not None
        await ledger.saved(item(), saved_row(1, attempt="a-1"))
        (attempt,) = ledger.attempts("key-1")
        assert attempt.answer is None
        assert attempt.state == "paid"


async def test_a_large_answer_is_kept_while_one_of_its_pictures_has_failed(path: Path) -> None:
    with opened(path) as ledger:
        await pay(ledger, "a-1", indexes=(0, 1), size=300_000)
        await ledger.failed(saved_row(0, attempt="a-1", state="failed", cause="download"))
        await ledger.saved(item(), saved_row(1, attempt="a-1"))
        assert ledger.attempts("key-1")[0].answer is not None


async def test_an_answer_with_urls_is_never_dropped(path: Path) -> None:
    with opened(path) as ledger:
        await pay(ledger, "a-1", size=2_000)
        await ledger.saved(item(), saved_row(attempt="a-1"))
        assert ledger.attempts("key-1")[0].answer is not None


async def test_dropping_one_answer_leaves_the_others(path: Path) -> None:
    with opened(path) as ledger:
        await pay(ledger, "a-1", size=300_000)
        await pay(ledger, "a-2", size=300_000)
        await ledger.saved(item(), saved_row(attempt="a-2"))
        first, second = ledger.attempts("key-1")
        assert first.answer is not None
        assert second.answer is None


# Images.


async def test_a_failure_is_replaced_by_the_picture_that_comes_later(path: Path) -> None:
    with opened(path) as ledger:
        await ledger.failed(saved_row(state="failed", cause="download", error="no luck"))
        await ledger.saved(item(), saved_row(attempt="a-1"))
        assert ledger.images("key-1") == {0: saved_row(attempt="a-1")}


async def test_a_moved_image_is_found_at_its_new_path_only(path: Path) -> None:
    with opened(path) as ledger:
        row = saved_row()
        await ledger.saved(item(), row)
        await ledger.moved(row, ".pipeline/replaced/ab-hero.png", None)
        assert ledger.at_path("hero.png") == []
        (moved,) = ledger.at_path(".pipeline/replaced/ab-hero.png")
        assert (moved.key, moved.idx, moved.mtime_ns) == ("key-1", 0, None)


async def test_a_renamed_image_is_what_its_item_is_made_from(path: Path) -> None:
    with opened(path) as ledger:
        row = saved_row()
        await ledger.saved(item(), row)
        await ledger.renamed(item(id="sunrise"), row, "sunrise.png")
        recipe = ledger.recipe(item("key-9", "sunrise"))
        assert recipe is not None
        assert recipe.key == "key-1"
        assert ledger.at_path("sunrise.png")[0].mtime_ns == row.mtime_ns


async def test_a_distrusted_file_is_read_again(path: Path) -> None:
    with opened(path) as ledger:
        await ledger.saved(item(), saved_row(0))
        await ledger.saved(item(), saved_row(1))
        ledger.distrust("key-1", 0)
        rows = ledger.images("key-1")
        assert (rows[0].mtime_ns, rows[1].mtime_ns) == (None, 123)


# Opening.


def test_a_ledger_of_a_newer_version_is_left_alone(path: Path) -> None:
    with opened(path) as ledger:
        ledger._writer.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    for kind in (Ledger, LedgerReader):
        with pytest.raises(StorageFailed, match="newer version"):
            kind(path)
    assert path.read_bytes() == before


def test_garbage_is_no_ledger(path: Path) -> None:
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    for kind in (Ledger, LedgerReader):
        with pytest.raises(StorageFailed, match=r"ledger\.db can't be used"):
            kind(path)


def test_a_database_of_somebody_else_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (cake TEXT)")
        connection.commit()
    before = path.read_bytes()
    for kind in (Ledger, LedgerReader):
        with pytest.raises(StorageFailed, match="no ledger of this program"):
            kind(path)
    assert path.read_bytes() == before


def test_a_path_that_can_not_be_is_a_storage_error(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere" / "ledger.db", tmp_path / ("x" * 300)):
        with pytest.raises(StorageFailed):
            Ledger(path)
    with pytest.raises(StorageFailed):
        LedgerReader(tmp_path / ("x" * 300))


def test_a_ledger_whose_making_was_cut_short_is_made(path: Path) -> None:
    path.write_bytes(b"")
    with LedgerReader(path) as reader:
        assert reader.totals() == (0, 0, 0.0)
    assert path.read_bytes() == b""
    with opened(path) as ledger:
        assert ledger.totals() == (0, 0, 0.0)


def test_a_ledger_is_opened_again_as_it_was(path: Path) -> None:
    for number in range(3):
        with Ledger(path) as ledger:
            ledger.start_run(f"run-{number}", AT, "aimlapi")
            ledger.end_run(f"run-{number}", AT, number)
    assert committed(path, "SELECT id, exit_code, ended_at FROM runs") == [
        ("run-0", 0, AT),
        ("run-1", 1, AT),
        ("run-2", 2, AT),
    ]


def test_a_run_that_can_not_be_written_down_does_not_begin(path: Path) -> None:
    with opened(path) as ledger, pytest.raises(StorageFailed):
        ledger.start_run(RUN, AT, "aimlapi")


def test_a_ledger_that_opens_only_for_writing_is_closed_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_files(_reader: LedgerReader, _path: Path) -> None:
        raise StorageFailed("too many open files")

    monkeypatch.setattr(LedgerReader, "__init__", out_of_files)
    with pytest.raises(StorageFailed, match="too many"):
        Ledger(path)
    # The last connection to close takes the write-ahead log with it.
    assert [entry.name for entry in path.parent.iterdir()] == ["ledger.db"]
