"""A folder that is kept open."""

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import StorageFailed
from pipeline.output.local import LedgerGone, OutputFolder
from pipeline.output.local.handle import FolderHandle


def test_names_made_at_the_same_time_share_one_sync_and_none_returns_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    made = 0
    lock = threading.Lock()

    def slow(folder: int) -> None:
        with lock:
            syncs.append(made)
        time.sleep(0.02)

    monkeypatch.setattr(os, "fsync", slow)
    names = FolderHandle(tmp_path)
    ends: list[tuple[int, int]] = []

    def make(number: int) -> None:
        nonlocal made
        with lock:
            made += 1
            mine = made
        names.sync()
        with lock:
            ends.append((mine, max(syncs)))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(syncs) < 8, "each name was synced for itself"
    assert all(synced >= mine for mine, synced in ends), "a name was called durable that no sync has seen"


def test_a_failed_sync_fails_for_all_whose_names_it_was_to_make_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    outcomes: list[str] = []
    calls = 0

    def once(folder: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            begun.set()
            go_on.wait(5)
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", once)
    names = FolderHandle(tmp_path)
    with names._syncing:
        threads = [threading.Thread(target=lambda: outcomes.append(outcome(names))) for _ in range(3)]
        for thread in threads:
            thread.start()
        while names._made < 3:
            time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert outcomes == ["EIO"] * 3
    assert outcome(names) == "durable", "names made later have a sync of their own"


def outcome(names: FolderHandle) -> str:
    try:
        names.sync()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "durable"


async def test_a_picture_lands_in_the_folder_that_it_was_begun_in(tmp_path: Path) -> None:
    elsewhere, victim = tmp_path / "moved", tmp_path / "victim"
    victim.mkdir()
    (victim / "hero.png").write_bytes(b"mine")
    with OutputFolder(tmp_path / "out") as store:
        landed, dropped = store.part("hero"), store.part("cat")
        store.root.rename(elsewhere)
        store.root.symlink_to(victim)
        landed.write(b"picture")
        await landed.publish("hero.png")
        dropped.discard()
    assert (elsewhere / "hero.png").read_bytes() == b"picture"
    assert sorted(path.name for path in elsewhere.iterdir()) == [".pipeline", "hero.png"]
    assert (victim / "hero.png").read_bytes() == b"mine"


@pytest.mark.parametrize("instead", ["nothing", "a folder", "a file", "a link"])
def test_a_folder_that_was_moved_takes_no_more_pictures(tmp_path: Path, instead: str) -> None:
    with OutputFolder(tmp_path / "out") as store:
        store.root.rename(tmp_path / "moved")
        if instead == "a folder":
            store.root.mkdir()
        elif instead == "a file":
            store.root.touch()
        elif instead == "a link":
            (tmp_path / "another").mkdir()
            store.root.symlink_to(tmp_path / "another")
        for what in (store.free_bytes, lambda: store.part("hero")):
            with pytest.raises(StorageFailed, match="was moved or replaced while this run was on; put it back"):
                what()


def test_a_link_to_the_folder_that_was_moved_is_as_good_as_the_folder(tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "out") as store:
        store.root.rename(tmp_path / "moved")
        store.root.symlink_to(tmp_path / "moved")
        store.part("hero").discard()


def test_a_folder_that_is_closed_goes_by_its_path(tmp_path: Path) -> None:
    handle = FolderHandle(tmp_path)
    handle.close()
    os.close(handle.create("hero"))
    handle.rename("hero", "cat")
    assert [path.name for path in tmp_path.iterdir()] == ["cat"]
    handle.remove("cat")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "out" / ".pipeline" / "ledger.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"what was paid for")
    return path


def replaced(path: Path) -> None:
    path.rename(path.with_name("aside"))
    path.write_bytes(b"another")


def moved_without_it(path: Path) -> None:
    path.unlink()
    path.parent.parent.rename(path.parent.parent.with_name("moved"))


LOSSES: dict[str, Callable[[Path], object]] = {
    "the folder is removed": lambda ledger: shutil.rmtree(ledger.parent.parent),
    "the folder is moved and its ledger removed": moved_without_it,
    "the state folder is removed": lambda ledger: shutil.rmtree(ledger.parent),
    "the state folder is moved away": lambda ledger: ledger.parent.rename(ledger.parent.with_name("aside")),
    "the ledger is removed": lambda ledger: ledger.unlink(),
    "the ledger is replaced": replaced,
}


@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_is_promised_once_the_ledger_is_gone(tmp_path: Path, ledger: Path, loss: str) -> None:
    with OutputFolder(tmp_path / "out") as store:
        store.guard(ledger)
        LOSSES[loss](ledger)
        for what in (store.free_bytes, store.check_place, lambda: store.part("hero")):
            with pytest.raises(LedgerGone, match="before the next run: without its ledger") as caught:
                what()
            assert str(tmp_path / "out") in str(caught.value)
            assert "is lost" not in str(caught.value)


def test_a_folder_that_was_moved_with_its_ledger_has_lost_nothing(tmp_path: Path, ledger: Path) -> None:
    with OutputFolder(tmp_path / "out") as store:
        store.guard(ledger)
        store.root.rename(tmp_path / "moved")
        with pytest.raises(StorageFailed, match="nothing that was paid for is lost: it is in the folder") as caught:
            store.check_place()
        assert not isinstance(caught.value, LedgerGone)


def test_a_folder_that_was_removed_has_not_lost_a_ledger_that_is_elsewhere(tmp_path: Path) -> None:
    ledger = tmp_path / "elsewhere.db"
    ledger.touch()
    with OutputFolder(tmp_path / "out") as store:
        store.guard(ledger)
        shutil.rmtree(store.root)
        with pytest.raises(StorageFailed, match="fetches what was paid for again, as far as its URLs") as caught:
            store.check_place()
        assert not isinstance(caught.value, LedgerGone)


async def test_a_picture_that_cannot_land_in_a_folder_that_is_gone_says_what_went_with_it(
    tmp_path: Path, ledger: Path
) -> None:
    with OutputFolder(tmp_path / "out") as store:
        store.guard(ledger)
        part = store.part("hero")
        part.write(b"picture")
        shutil.rmtree(store.root)
        with pytest.raises(LedgerGone):
            await part.publish("hero.png")
