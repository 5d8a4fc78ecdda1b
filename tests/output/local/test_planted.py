"""A folder in which something stands where a file, a folder or a picture should."""

import os
from pathlib import Path

import pytest

from pipeline.errors import StorageFailed
from pipeline.output.local import OutputFolder
from pipeline.regular_files import other_at
from tests.planted import PLANTS, link_to_nothing


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())


STATE_FILES = ("lock", "state_dir", "state_dir.new", "ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db-journal")
STATE_FOLDERS = ("replaced", "quarantine", "sandbox")


def planted(tmp_path: Path, name: str) -> Path:
    path = tmp_path / "out" / ".pipeline" / name
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, kind) for name in STATE_FILES for kind in PLANTS),
        *((name, kind) for name in (*STATE_FOLDERS, "sandbox/books.db") for kind in PLANTS if kind != "a folder"),
    ],
)
def test_what_cannot_be_ours_in_the_state_folder_is_named_before_anything_is_done(
    tmp_path: Path, name: str, kind: str
) -> None:
    path = planted(tmp_path, name)
    PLANTS[kind](path)
    before = files(tmp_path)
    with (
        pytest.raises(StorageFailed, match=f"{path} is {kind.partition(' to ')[0]}.*move it away"),
        OutputFolder(tmp_path / "out"),
    ):
        pass
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", STATE_FOLDERS)
def test_a_file_in_the_place_of_a_folder_of_the_state_folder_is_named_too(tmp_path: Path, name: str) -> None:
    planted(tmp_path, name).write_bytes(b"")
    with pytest.raises(StorageFailed, match=f"{name} is a file, not a folder"), OutputFolder(tmp_path / "out"):
        pass


def test_all_that_cannot_be_ours_in_the_state_folder_is_named_at_once(tmp_path: Path) -> None:
    link_to_nothing(planted(tmp_path, "ledger.db"))
    os.mkfifo(tmp_path / "out" / ".pipeline" / "quarantine")
    with pytest.raises(StorageFailed, match=r"ledger.db is a symbolic link; .*quarantine is a named pipe"):
        OutputFolder(tmp_path / "out").__enter__()


def test_a_users_own_folder_in_the_state_folder_is_no_hindrance(tmp_path: Path) -> None:
    planted(tmp_path, "backup").mkdir()
    with OutputFolder(tmp_path / "out"):
        pass


@pytest.mark.parametrize("kind", PLANTS)
def test_what_stands_where_a_picture_is_to_land_is_known_from_the_beginning(tmp_path: Path, kind: str) -> None:
    (tmp_path / "hero.png").write_bytes(b"a file")
    PLANTS[kind](tmp_path / "fox.png")
    with OutputFolder(tmp_path) as store:
        assert store.obstacle("fox.png") == kind
        assert store.obstacle("hero.png") is store.obstacle("new.png") is None


@pytest.mark.parametrize("target", ["file", "nothing"])
def test_a_link_to_a_file_or_to_nothing_is_in_nobodys_way(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "hero.png").symlink_to(target)
    with OutputFolder(tmp_path) as store:
        assert store.obstacle("hero.png") is None


def test_looking_for_what_stands_in_the_way_costs_no_call_where_there_are_only_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        (tmp_path / f"{number}.png").write_bytes(b"a file")
    with OutputFolder(tmp_path) as store:
        monkeypatch.setattr(os, "lstat", None)
        monkeypatch.setattr(os, "stat", None)
        found = [store.obstacle(f"{number}.png") for number in range(100)]
        monkeypatch.undo()
    assert found == [None] * 100


@pytest.mark.parametrize("there", ["other bytes", "a named pipe", "a folder", "a symbolic link to a device"])
def test_a_second_name_that_something_else_has_is_not_taken_for_the_picture(tmp_path: Path, there: str) -> None:
    with OutputFolder(tmp_path) as store:
        (tmp_path / "hero.png").write_bytes(b"old")
        kept = tmp_path / store.keep_aside("hero.png")
        kept.unlink()
        if there == "other bytes":
            kept.write_bytes(b"odd")
        else:
            PLANTS[there](kept)
        second = tmp_path / store.keep_aside("hero.png")
        assert second.parent == kept.parent
        assert second != kept
        assert second.read_bytes() == b"old"


@pytest.mark.parametrize("kind", ["a named pipe", "a socket", "a folder"])
def test_what_is_not_a_file_is_not_kept_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    with OutputFolder(tmp_path) as store:
        PLANTS[kind](tmp_path / "hero.png")
        with pytest.raises(StorageFailed, match=f"hero.png is {kind}, not a file: move it away"):
            store.keep_aside("hero.png")


@pytest.mark.parametrize("kind", PLANTS)
def test_a_broken_picture_is_kept_under_another_name_where_something_else_has_its_own(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / ".pipeline" / "quarantine" / "hero.png"
    path.parent.mkdir(parents=True)
    PLANTS[kind](path)
    with OutputFolder(tmp_path) as store:
        part = store.part("hero")
        part.write(b"broken")
        kept = store.quarantine(part, "hero.png")
    assert kept.parent == path.parent
    assert kept.read_bytes() == b"broken"
    assert other_at(path) == kind.partition(" to ")[0]
