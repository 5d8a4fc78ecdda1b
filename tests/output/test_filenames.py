import asyncio
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.errors import StorageFailed
from pipeline.ledger import ImageRow, Ledger
from pipeline.model import Item, SavedImage
from pipeline.output.filenames import FileNamer, obstacles
from pipeline.output.local import OutputFolder
from tests.ledger.rows import AT, RUN, item, saved_row
from tests.planted import PLANTS


class Folder:
    """A real output folder with its ledger."""

    def __init__(self, store: OutputFolder, ledger: Ledger) -> None:
        self.store = store
        self.ledger = ledger
        self.names = FileNamer(store, ledger)

    def put(self, path: str, words: str) -> None:
        part = self.store.part("test")
        part.write(words.encode())
        part.publish_now(path)

    def words(self, path: str) -> str | None:
        file = self.store.root / path
        return file.read_text() if file.exists() else None

    async def save(self, wanted: Item, path: str, words: str, idx: int = 0) -> ImageRow:
        """Land a picture as a run does."""
        await self.names.archive_existing(wanted, idx)
        self.put(path, words)
        row = replace(saved_row(idx, key=wanted.key, item=wanted.id), path=path, mtime_ns=self.store.mtime_ns(path))
        await self.ledger.saved(wanted, row)
        self.names.drop_archived(wanted, idx, path)
        return row

    def path_of(self, key: str, idx: int = 0) -> str:
        path = self.ledger.images(key)[idx].path
        assert path is not None
        return path

    def kept(self) -> list[str]:
        return sorted(file.read_text() for file in self.store.state.glob("replaced/*"))


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Folder]:
    with OutputFolder(tmp_path / "out") as store, Ledger(store.state / "ledger.db") as ledger:
        ledger.start_run(RUN, AT, "aimlapi")
        yield Folder(store, ledger)


async def test_where_nothing_bears_the_name_nothing_happens(folder: Folder) -> None:
    await folder.names.archive_existing(item(), 0)
    assert folder.kept() == []


async def test_a_name_that_is_free_is_looked_for_once_with_each_suffix_and_nothing_is_removed(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            calls[name] += 1
            return real(*arguments, **options)

        return call

    for name in ("lstat", "stat", "unlink", "open"):
        monkeypatch.setattr(os, name, counted(name, getattr(os, name)))
    await folder.names.archive_existing(item(), 0)
    folder.names.drop_archived(item(), 0, "hero.png")
    monkeypatch.undo()
    assert calls == {"lstat": 3}


async def test_a_file_of_the_users_own_is_kept_before_it_is_overwritten(folder: Folder) -> None:
    folder.put("hero.png", "the user's own")
    await folder.save(item(), "hero.png", "new picture")
    assert folder.words("hero.png") == "new picture"
    assert folder.kept() == ["the user's own"]


async def test_the_old_file_stays_in_its_place_until_the_new_one_comes(folder: Folder) -> None:
    folder.put("hero.png", "old")
    await folder.names.archive_existing(item(), 0)
    assert folder.words("hero.png") == "old"


async def test_a_prompt_that_is_changed_and_changed_back_costs_nothing(folder: Folder) -> None:
    old, new = item("key-old"), item("key-new")
    await folder.save(old, "hero.png", "old picture")
    await folder.save(new, "hero.png", "new picture")
    kept = folder.path_of("key-old")
    assert kept.startswith(".pipeline/replaced/")
    assert folder.words(kept) == "old picture"

    await folder.names.rename(old, folder.ledger.images("key-old")[0])
    assert folder.words("hero.png") == "old picture"
    assert folder.path_of("key-old") == "hero.png"
    assert folder.words(folder.path_of("key-new")) == "new picture"
    assert folder.path_of("key-new") != "hero.png"


async def test_a_file_kept_aside_is_still_taken_as_unchanged_without_reading_it(folder: Folder) -> None:
    before = await folder.save(item("key-old"), "hero.png", "old picture")
    await folder.save(item("key-new"), "hero.png", "new picture")
    row = folder.ledger.images("key-old")[0]
    assert row.path is not None
    assert row.mtime_ns == before.mtime_ns == folder.store.mtime_ns(row.path)


async def test_a_picture_of_another_type_leaves_no_second_file_of_that_name(folder: Folder) -> None:
    await folder.save(item("key-old"), "hero.png", "old picture")
    await folder.save(item("key-new"), "hero.webp", "new picture")
    assert folder.words("hero.png") is None
    assert folder.words("hero.webp") == "new picture"
    assert folder.words(folder.path_of("key-old")) == "old picture"


async def test_each_image_of_an_item_has_its_own_name(folder: Folder) -> None:
    wanted = item(count=2)
    await folder.save(wanted, "hero.png", "first", 0)
    await folder.save(wanted, "hero-2.png", "second", 1)
    assert (folder.words("hero.png"), folder.words("hero-2.png"), folder.kept()) == ("first", "second", [])


async def test_the_same_image_made_anew_is_not_lost_either(folder: Folder) -> None:
    await folder.save(item(), "hero.png", "first try")
    await folder.save(item(), "hero.png", "second try")
    assert folder.path_of("key-1") == "hero.png"
    assert folder.kept() == ["first try"]


async def test_the_same_bytes_are_kept_once(folder: Folder) -> None:
    for _ in range(3):
        folder.put("hero.png", "the same")
        await folder.names.archive_existing(item(), 0)
    assert folder.kept() == ["the same"]


async def test_a_renamed_image_takes_its_file_along(folder: Folder) -> None:
    row = await folder.save(item(), "hero.jpg", "picture")
    await folder.names.rename(item(id="sunrise"), row)
    assert (folder.words("hero.jpg"), folder.words("sunrise.jpg")) == (None, "picture")
    assert folder.path_of("key-1") == "sunrise.jpg"
    recipe = folder.ledger.recipe(item("key-9", "sunrise"))
    assert recipe is not None
    assert recipe.key == "key-1"


async def test_a_rename_overwrites_nothing_for_good(folder: Folder) -> None:
    folder.put("sunrise.png", "the user's own")
    folder.put("sunrise.webp", "another of the user's")
    row = await folder.save(item(), "hero.png", "picture")
    await folder.names.rename(item(id="sunrise"), row)
    assert folder.words("sunrise.png") == "picture"
    assert folder.kept() == ["another of the user's", "the user's own"]


async def test_two_images_can_swap_their_names(folder: Folder) -> None:
    one, two = item("key-1", "one"), item("key-2", "two")
    row_one = await folder.save(one, "one.png", "first")
    row_two = await folder.save(two, "two.png", "second")
    async with anyio.create_task_group() as group:
        group.start_soon(folder.names.rename, replace(one, id="two"), row_one)
        group.start_soon(folder.names.rename, replace(two, id="one"), row_two)
    assert (folder.words("two.png"), folder.words("one.png")) == ("first", "second")
    assert (folder.path_of("key-1"), folder.path_of("key-2")) == ("two.png", "one.png")


async def test_three_images_can_change_their_names_in_a_ring(folder: Folder) -> None:
    items = [item(f"key-{name}", name) for name in "abc"]
    rows = [await folder.save(one, f"{one.id}.png", one.id) for one in items]
    for one, row, name in zip(items, rows, "bca", strict=True):
        await folder.names.rename(replace(one, id=name), row)
    assert [folder.words(f"{name}.png") for name in "bca"] == ["a", "b", "c"]


async def test_a_rename_that_a_kill_cut_short_can_be_done_again(folder: Folder) -> None:
    old, new = item("key-old"), item("key-new")
    await folder.save(old, "hero.png", "old picture")
    # Killed after the old file was kept aside and before the new one came: both names lead to the same file.
    await folder.names.archive_existing(new, 0)
    assert folder.words("hero.png") == folder.words(folder.path_of("key-old")) == "old picture"
    await folder.names.rename(old, folder.ledger.images("key-old")[0])
    assert folder.words("hero.png") == "old picture"
    assert folder.path_of("key-old") == "hero.png"


async def test_an_image_that_has_failed_meanwhile_is_not_renamed(folder: Folder) -> None:
    row = await folder.save(item(), "hero.png", "picture")
    await folder.ledger.failed(replace(row, state="failed", path=None, cause="lost"))
    await folder.names.rename(item(id="sunrise"), row)
    assert folder.words("sunrise.png") is None


async def test_a_folder_in_the_place_of_a_picture_is_an_error_that_names_it(folder: Folder) -> None:
    (folder.store.root / "hero.png").mkdir()
    with pytest.raises(StorageFailed, match=r"hero\.png"):
        await folder.names.archive_existing(item(), 0)


async def test_the_row_of_a_saved_image_says_what_was_saved(folder: Folder) -> None:
    image = SavedImage("hero.png", "image/png", 7, "cd" * 32, 1408, 768, mtime_ns=1_700_000_000_123_456_789)
    empty = ImageRow("key-1", 0, "hero", "failed", AT, attempts=2, attempt="a-2", url="https://cdn.example.com/a")
    row = folder.names.saved_row(empty, image)
    assert row == replace(
        empty,
        state="saved",
        path="hero.png",
        mime_type="image/png",
        bytes=7,
        sha256="cd" * 32,
        width=1408,
        height=768,
        mtime_ns=1_700_000_000_123_456_789,
    )


# Many at a time.


async def test_the_loop_goes_on_while_files_are_hashed_linked_and_flushed(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call that may take long waits until the loop has done something; on the loop it would wait in vain."""
    row = await folder.save(item("key-old"), "hero.png", "old picture")
    folder.put("sunrise.png", "the user's own")
    loop = asyncio.get_running_loop()
    waited: dict[str, list[bool]] = {"fsync": [], "link": [], "open": []}

    def slow(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            gone_on = threading.Event()
            loop.call_soon_threadsafe(gone_on.set)
            waited[name].append(gone_on.wait(2))
            return real(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for name in waited:
            patch.setattr(os, name, slow(name, getattr(os, name)))
        await folder.names.archive_existing(item("key-new"), 0)
        await folder.names.rename(item("key-old", id="sunrise"), folder.ledger.images("key-old")[0])
    assert all(found and all(found) for found in waited.values()), waited
    assert row.path == "hero.png"
    assert folder.path_of("key-old") == "sunrise.png"


async def test_files_of_different_names_are_kept_aside_at_the_same_time(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of three links waits for the other two: one after the other they would wait in vain."""
    meeting = threading.Barrier(3, timeout=5)
    link = os.link

    def together(*arguments: Any, **options: Any) -> None:
        meeting.wait()
        link(*arguments, **options)

    for name in "abc":
        folder.put(f"{name}.png", name)
    monkeypatch.setattr(os, "link", together)
    async with anyio.create_task_group() as group:
        for name in "abc":
            group.start_soon(folder.names.archive_existing, item(f"key-{name}", id=name), 0)
    assert folder.kept() == ["a", "b", "c"]


async def test_what_is_kept_aside_at_the_same_time_shares_flushes(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.put("first.png", "first")
    await folder.names.archive_existing(item("key-first", id="first"), 0)
    names = [f"hero-{number}" for number in range(20)]
    for name in names:
        folder.put(f"{name}.png", name)
    linked, flushes = threading.Semaphore(0), 0
    link, fsync = os.link, os.fsync

    def counted(*arguments: Any, **options: Any) -> None:
        link(*arguments, **options)
        linked.release()

    def slow(descriptor: int) -> None:
        nonlocal flushes
        flushes += 1
        for _ in names if flushes == 1 else ():
            linked.acquire(timeout=2)  # the first flush ends once all have been linked
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", counted)
        patch.setattr(os, "fsync", slow)
        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(folder.names.archive_existing, item(f"key-{name}", id=name), 0)
    assert len(folder.kept()) == 21
    assert 1 < flushes < 10


async def test_two_images_that_take_one_name_do_so_one_after_the_other(folder: Folder) -> None:
    folder.put("hero.png", "the user's own")
    rows = [await folder.save(item(f"key-{name}", id=name), f"{name}.png", name) for name in "abcdefgh"]
    async with anyio.create_task_group() as group:
        for row in rows:
            group.start_soon(folder.names.rename, item(row.key, id="hero"), row)
    words = {folder.words(folder.path_of(row.key)) for row in rows}
    assert words == set("abcdefgh")
    assert sum(folder.path_of(row.key) == "hero.png" for row in rows) == 1
    assert sorted(folder.kept()) == sorted({*"abcdefgh", "the user's own"} - {folder.words("hero.png")})


async def test_images_that_change_names_in_rings_at_the_same_time_all_arrive(folder: Folder) -> None:
    letters = "abcdefghijkl"
    rows = {name: await folder.save(item(f"key-{name}", id=name), f"{name}.png", name) for name in letters}
    async with anyio.create_task_group() as group:
        for name, to in zip(letters, letters[1:] + letters[:1], strict=True):
            group.start_soon(folder.names.rename, item(f"key-{name}", id=to), rows[name])
    assert {name: folder.words(folder.path_of(f"key-{name}")) for name in letters} == {name: name for name in letters}
    assert [folder.path_of(f"key-{name}") for name in letters] == [f"{to}.png" for to in letters[1:] + letters[:1]]


async def test_a_rename_that_has_begun_is_seen_through(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    row = await folder.save(item(), "hero.png", "picture")
    renamed = Ledger.renamed
    with anyio.CancelScope() as scope:

        async def cut_off(ledger: Ledger, *arguments: Any) -> None:
            scope.cancel()
            await renamed(ledger, *arguments)

        monkeypatch.setattr(Ledger, "renamed", cut_off)
        await folder.names.rename(item(id="sunrise"), row)
    assert (folder.words("hero.png"), folder.words("sunrise.png")) == (None, "picture")


@pytest.mark.parametrize("kind", PLANTS)
def test_whatever_suffix_a_picture_may_get_what_stands_in_its_way_is_named(tmp_path: Path, kind: str) -> None:
    for name in ("hero.jpg", "hero-2.webp", "other.png"):
        PLANTS[kind](tmp_path / name)
    with OutputFolder(tmp_path) as store:
        found = list(obstacles(store, item(count=3), range(3)))
    assert found == [f"{tmp_path / 'hero.jpg'} is {kind}", f"{tmp_path / 'hero-2.webp'} is {kind}"]
