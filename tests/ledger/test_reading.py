import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from pipeline.errors import StorageFailed
from pipeline.ledger import ImageRow, Ledger, LedgerReader, Recipe
from tests.ledger.rows import AT, RUN, failed_row, item, saved_row
from tests.planted import PLANTS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


async def fill(path: Path, *rows: ImageRow) -> None:
    with Ledger(path) as ledger:
        for row in rows:
            if row.state == "saved":
                await ledger.saved(item(row.key, row.item), row)
            else:
                await ledger.failed(row)


def test_where_no_ledger_is_it_reads_as_empty_and_none_is_made(path: Path) -> None:
    with LedgerReader(path) as reader:
        assert reader.images("key-1") == {}
        assert reader.attempts("key-1") == []
        assert reader.maybe_billed() == []
        assert reader.killed_runs() == 0
        assert reader.recipe(item()) is None
        assert reader.at_path("hero.png") == []
        assert list(reader.saved_images()) == []
        assert reader.totals() == (0, 0, 0.0)
    assert list(path.parent.iterdir()) == []


async def test_a_reader_sees_what_a_run_writes_while_it_writes(path: Path) -> None:
    with Ledger(path) as ledger, LedgerReader(path) as reader:
        ledger.start_run(RUN, AT, "aimlapi")
        await ledger.intend("a-1", RUN, item(), (0,), 1, AT)
        assert [attempt.id for attempt in reader.attempts("key-1")] == ["a-1"]
        await ledger.saved(item(), saved_row())
        assert reader.images("key-1") == {0: saved_row()}


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users can look into as well."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody here can write to a folder, or to what is in it; not even root, who is somebody else then."""
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    user = os.geteuid()
    try:
        if user == 0:
            try:
                os.seteuid(65534)
            except OSError:
                pytest.skip("this root can be nobody else")
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


async def test_a_closed_ledger_is_read_in_a_folder_that_nothing_can_be_written_to(shared: Path) -> None:
    await fill(shared / "ledger.db", saved_row())
    with read_only(shared), LedgerReader(shared / "ledger.db") as reader:
        assert list(reader.saved_images()) == [saved_row()]


async def test_a_ledger_that_has_left_something_in_its_log_is_not_read_without_it(shared: Path) -> None:
    await fill(shared / "ledger.db", saved_row())
    (shared / "ledger.db-wal").write_bytes(bytes(4096))
    with read_only(shared), pytest.raises(StorageFailed, match="can't be used"):
        LedgerReader(shared / "ledger.db")


async def test_a_reader_can_write_nothing(path: Path) -> None:
    await fill(path, saved_row())
    with LedgerReader(path) as reader, pytest.raises(sqlite3.Error):
        reader._reader.execute("DELETE FROM images")
    with LedgerReader(path) as reader:
        assert list(reader.saved_images()) == [saved_row()]


async def test_images_are_told_apart_by_key_and_index(path: Path) -> None:
    rows = saved_row(0), failed_row(1, "download"), saved_row(0, key="key-2", item="other", path="other.png")
    await fill(path, *rows)
    with LedgerReader(path) as reader:
        assert reader.images("key-1") == {0: rows[0], 1: rows[1]}
        assert reader.images("key-2") == {0: rows[2]}
        assert reader.images("key-3") == {}


async def test_attempts_come_oldest_first_with_their_indexes(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.start_run(RUN, AT, "aimlapi")
        for name, indexes in (("z", (0, 1)), ("a", (1,)), ("m", (3, 2))):
            await ledger.intend(name, RUN, item(), indexes, None, AT)
        await ledger.intend("elsewhere", RUN, item("key-2"), (0,), None, AT)
        found = [(attempt.id, attempt.indexes) for attempt in ledger.attempts("key-1")]
        assert found == [("z", (0, 1)), ("a", (1,)), ("m", (3, 2))]


async def test_all_saved_images_come_by_key_and_index(path: Path) -> None:
    await fill(path, saved_row(1), saved_row(0), failed_row(2), saved_row(0, key="key-0", item="other"))
    with LedgerReader(path) as reader:
        assert [(row.key, row.idx) for row in reader.saved_images()] == [("key-0", 0), ("key-1", 0), ("key-1", 1)]


async def test_the_recipe_is_found_by_id_before_it_is_found_by_prompt(path: Path) -> None:
    with Ledger(path) as ledger:
        await ledger.saved(item("key-1", "hero"), saved_row())
        await ledger.saved(item("key-2", "other", prompt="a fox"), saved_row(key="key-2"))
        same_id = ledger.recipe(item("key-9", "hero", prompt="a fox"))
        assert same_id == Recipe("hero", "key-1", "a racoon", "1:1", None)
        same_prompt = ledger.recipe(item("key-9", "new", prompt="a fox"))
        assert same_prompt is not None
        assert same_prompt.key == "key-2"


@pytest.mark.parametrize(("changes", "found"), [({}, True), ({"aspect_ratio": "16:9"}, False), ({"seed": 7}, False)])
async def test_another_ratio_or_seed_of_a_prompt_is_another_picture(
    path: Path, changes: dict[str, Any], found: bool
) -> None:
    with Ledger(path) as ledger:
        await ledger.saved(item(), saved_row())
        assert (ledger.recipe(item("key-9", "new", **changes)) is not None) is found


async def test_only_the_last_recipe_of_an_id_counts(path: Path) -> None:
    with Ledger(path) as ledger:
        await ledger.saved(item("key-1", prompt="old"), saved_row())
        await ledger.saved(item("key-2", prompt="new"), saved_row(key="key-2"))
        recipe = ledger.recipe(item("key-3"))
        assert recipe is not None
        assert (recipe.key, recipe.prompt) == ("key-2", "new")


async def test_totals_count_what_answers_said_and_every_attempt(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.start_run(RUN, AT, "aimlapi")
        for name, tokens, usd in (("a", 100, 0.5), ("b", None, None), ("c", 23, None)):
            await ledger.intend(name, RUN, item(), (0,), None, AT)
            await ledger.paid(name, AT, status=200, answer=b"{}", inference_id=None, made_by=None)
            ledger.understood(name, 1, tokens, usd)
        await ledger.intend("d", RUN, item(), (0,), None, AT)
        assert ledger.totals() == (4, 123, 0.5)


READS: list[Callable[[LedgerReader], Any]] = [
    lambda reader: reader.images("key-1"),
    lambda reader: reader.attempts("key-1"),
    lambda reader: reader.maybe_billed(),
    lambda reader: reader.killed_runs(),
    lambda reader: reader.recipe(item()),
    lambda reader: reader.at_path("hero.png"),
    lambda reader: list(reader.saved_images()),
    lambda reader: reader.totals(),
]


@pytest.mark.parametrize("read", READS)
def test_a_ledger_that_breaks_while_it_is_read_is_a_storage_error(
    read: Callable[[LedgerReader], Any], path: Path
) -> None:
    with Ledger(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        for table in ("images", "attempts", "recipes", "runs"):
            connection.execute(f"ALTER TABLE {table} RENAME TO broken_{table}")
    with LedgerReader(path) as reader, pytest.raises(StorageFailed, match=r"ledger\.db can't be used"):
        read(reader)


async def test_a_ledger_cut_in_half_is_an_error_and_not_an_empty_one(path: Path) -> None:
    with Ledger(path) as ledger:
        for number in range(200):
            await ledger.failed(failed_row(number))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StorageFailed, match=r"ledger\.db can't be used"), LedgerReader(path) as reader:
        reader.images("key-1")


@pytest.mark.parametrize("beside", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("kind", PLANTS)
@pytest.mark.parametrize("opening", [LedgerReader, Ledger])
def test_what_is_not_a_file_in_the_place_of_a_ledgers_file_is_refused_and_not_waited_for(
    tmp_path: Path, opening: type[LedgerReader], kind: str, beside: str
) -> None:
    path = tmp_path / "ledger.db"
    if beside:
        Ledger(path).close()
    PLANTS[kind](tmp_path / f"ledger.db{beside}")
    with pytest.raises(StorageFailed, match=f"ledger.db{beside} is {kind.partition(' to ')[0]}, not a file"):
        opening(path)
