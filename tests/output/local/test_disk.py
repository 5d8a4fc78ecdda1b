import errno
import hashlib
import os
from pathlib import Path

import pytest

from pipeline.errors import StorageFailed
from pipeline.output.local import FileState, disk, inspect, stat_mtime_ns
from tests.planted import PLANTS

DATA = b"a picture"
SHA256 = hashlib.sha256(DATA).hexdigest()


def look(root: Path, path: str = "hero.png", mtime_ns: int | None = None) -> FileState:
    return inspect(root, path, bytes=len(DATA), sha256=SHA256, mtime_ns=mtime_ns)


def test_a_file_as_it_was_saved_is_sound(tmp_path: Path) -> None:
    (tmp_path / "hero.png").write_bytes(DATA)
    assert look(tmp_path) == "sound"


def test_a_file_of_the_same_size_and_time_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "hero.png").write_bytes(b"X" * len(DATA))
    assert look(tmp_path, mtime_ns=stat_mtime_ns(tmp_path, "hero.png")) == "sound"
    assert look(tmp_path, mtime_ns=1) == "damaged"
    assert look(tmp_path, mtime_ns=None) == "damaged"


def test_a_touched_file_with_the_same_bytes_is_sound(tmp_path: Path) -> None:
    (tmp_path / "hero.png").write_bytes(DATA)
    os.utime(tmp_path / "hero.png", ns=(5, 5))
    assert look(tmp_path, mtime_ns=4) == "sound"


def test_another_size_is_damage_whatever_the_time_says(tmp_path: Path) -> None:
    (tmp_path / "hero.png").write_bytes(DATA[:-1])
    assert look(tmp_path, mtime_ns=stat_mtime_ns(tmp_path, "hero.png")) == "damaged"


@pytest.mark.parametrize("path", ["hero.png", "no/folder/hero.png", "file/hero.png"])
def test_a_file_that_is_not_there_is_missing(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert look(tmp_path, path) == "missing"
    assert stat_mtime_ns(tmp_path, path) is None


@pytest.mark.parametrize("path", ["", "../hero.png", "a/../../hero.png", "/etc/passwd", "nul\0.png"])
def test_a_path_out_of_the_folder_is_damage(tmp_path: Path, path: str) -> None:
    (tmp_path / "hero.png").write_bytes(DATA)
    (tmp_path / "out").mkdir()
    assert look(tmp_path / "out", path) == "damaged"


def test_a_symbolic_link_is_damage_even_to_the_right_bytes(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "hero.png").write_bytes(DATA)
    (tmp_path / "hero.png").symlink_to("real/hero.png")
    (tmp_path / "folder").symlink_to("real")
    assert look(tmp_path) == "damaged"
    assert look(tmp_path, "folder/hero.png") == "damaged"
    assert look(tmp_path, "real/hero.png") == "sound"


def test_a_folder_in_the_place_of_a_file_is_damage(tmp_path: Path) -> None:
    (tmp_path / "hero.png").mkdir()
    assert look(tmp_path) == "damaged"


def test_a_file_that_may_not_be_read_stops_instead_of_being_bought_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hero.png").write_bytes(DATA)

    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageFailed, match=r"can't read .*hero\.png: permission denied"):
        look(tmp_path)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full; free some space, then run again"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only; choose another output folder"),
        (errno.EACCES, "permission denied; choose a folder this user may write to"),
        (errno.EIO, "I/O error; check its health"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ELOOP, "too many levels of symbolic links"),
    ],
)
def test_each_refusal_of_the_disk_says_what_to_do(number: int, words: str) -> None:
    error = disk.storage_failed("write", Path("out/hero.png"), OSError(number, os.strerror(number)))
    assert str(error).startswith("can't write out/hero.png: ")
    assert words in str(error)
    assert error.exit_code == 6


def test_an_error_without_a_number_is_still_a_sentence() -> None:
    assert "can't read x: the system gives no reason" in str(disk.storage_failed("read", Path("x"), OSError()))


def test_a_second_name_shares_the_bytes_and_is_made_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    disk.duplicate(tmp_path / "a", tmp_path / "b")
    disk.duplicate(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").samefile(tmp_path / "b")


def test_a_file_system_without_hard_links_gets_a_copy_with_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(DATA)
    os.utime(tmp_path / "a", ns=(5_000_000_000, 5_000_000_000))

    def no_links(src: Path, dst: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    disk.duplicate(tmp_path / "a", tmp_path / "b")
    assert not (tmp_path / "a").samefile(tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == DATA
    assert stat_mtime_ns(tmp_path, "b") == 5_000_000_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_copy_is_never_written_through_a_link_that_has_the_name_of_its_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(DATA)
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "b.part").symlink_to("victim")

    def no_links(src: Path, dst: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    disk.duplicate(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == DATA
    assert (tmp_path / "victim").read_bytes() == b"mine"


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.ESTALE])
def test_nothing_is_promised_of_what_is_not_there(number: int) -> None:
    error = disk.storage_failed("write", Path("out/hero.png"), OSError(number, os.strerror(number)))
    assert "then run again" in str(error)
    assert "lost" not in str(error)


@pytest.mark.parametrize("kind", ["a named pipe", "a socket"])
def test_a_pipe_in_the_place_of_a_file_is_damage_and_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    PLANTS[kind](tmp_path / "hero.png")
    assert look(tmp_path) == "damaged"
    assert stat_mtime_ns(tmp_path, "hero.png") is None
    with pytest.raises(StorageFailed, match=kind):
        disk.digest_of(tmp_path / "hero.png")
