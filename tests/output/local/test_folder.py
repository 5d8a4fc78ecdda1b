import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StorageFailed
from pipeline.output.local import OutputFolder, Part, inspect

CALLS = ("write", "fsync", "replace")


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, name: str, nth: int, number: int) -> Iterator[list[int]]:
    """Let the nth call of an operating system function, and no other, fail; gives the calls seen."""
    real: Callable[..., Any] = getattr(os, name)
    seen: list[int] = []

    def call(*args: Any, **options: Any) -> Any:
        seen.append(len(seen) + 1)
        if len(seen) == nth:
            raise OSError(number, os.strerror(number))
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, name, call)
        yield seen


async def write_and_land(part: Part) -> None:
    part.write(b"picture")
    await part.publish("hero.png")


async def test_a_part_becomes_a_file_under_its_final_name(tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "deep" / "out") as store:
        part = store.part("hero")
        part.write(b"pic")
        part.write(b"ture")
        assert part.size == 7
        assert any(path.name.startswith(".hero.") for path in store.root.iterdir())
        mtime_ns = await part.publish("hero.png")
        assert (store.root / "hero.png").read_bytes() == b"picture"
        assert mtime_ns == store.mtime_ns("hero.png")
        assert files(store.root) == [".pipeline/lock", "hero.png"]


async def test_landing_replaces_what_has_the_name_and_follows_no_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    with OutputFolder(tmp_path / "out") as store:
        (store.root / "hero.png").symlink_to(victim)
        part = store.part("hero")
        part.write(b"new")
        await part.publish("hero.png")
        assert not (store.root / "hero.png").is_symlink()
    assert victim.read_bytes() == b"mine"


def test_a_truncated_part_starts_over_at_its_beginning(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as store:
        part = store.part("hero")
        part.write(b"half a pic")
        part.truncate()
        assert part.size == 0
        part.write(b"whole")
        part.publish_now("hero.png")
        assert (tmp_path / "hero.png").read_bytes() == b"whole"


def test_a_discarded_part_is_gone_and_discarding_again_is_fine(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as store:
        part = store.part("hero")
        part.write(b"half")
        part.discard()
        part.discard()
        assert files(tmp_path) == [".pipeline/lock"]
        with pytest.raises(ValueError, match="is closed"):
            part.write(b"more")


def test_long_stems_still_make_a_file_name(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as store:
        store.part("é" * 120).discard()


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_pictures_follow_the_umask_and_the_state_is_private(tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        with OutputFolder(tmp_path / "out") as store:
            part = store.part("hero")
            part.publish_now("hero.png")
            assert (store.root / "hero.png").stat().st_mode & 0o777 == 0o666 & ~umask
            assert store.state.stat().st_mode & 0o777 == 0o700
            assert (store.state / "lock").stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(old)


def test_opening_removes_what_a_killed_run_left_and_nothing_else(tmp_path: Path) -> None:
    stale = tmp_path / ".hero.0123456789abcdef.part"
    stale.write_bytes(b"half")
    others = [tmp_path / name for name in ("film.part", ".hidden.part", ".hero.0123456789ABCDEF.part", "hero.png")]
    for other in others:
        other.write_bytes(b"mine")
    with OutputFolder(tmp_path):
        assert not stale.exists()
        assert all(other.exists() for other in others)


def test_a_file_where_the_folder_should_be_is_explained(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with (
        pytest.raises(StorageFailed, match=r"can't create .*: a part of the path is a file"),
        OutputFolder(tmp_path / "out"),
    ):
        pass


@pytest.mark.parametrize("call", CALLS)
def test_a_disk_that_refuses_is_found_before_anything_is_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    nth = 2 if call in ("write", "fsync") else 1  # the first write is the lock's, the first fsync the new folder's
    with (
        failing(monkeypatch, call, nth, errno.EROFS),
        pytest.raises(StorageFailed, match="the file system is read-only"),
        OutputFolder(tmp_path),
    ):
        pass
    assert files(tmp_path) == [".pipeline/lock"]
    with OutputFolder(tmp_path):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
async def test_any_call_that_fails_leaves_no_file_and_no_second_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for call in CALLS:
        with OutputFolder(tmp_path / call) as store, failing(monkeypatch, call, 1, number) as seen:
            part = store.part("hero")
            with pytest.raises(StorageFailed):
                await write_and_land(part)
            part.discard()
            assert files(store.root) == [".pipeline/lock"]
            assert seen == [1]


async def test_a_folder_that_cannot_be_synced_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with OutputFolder(tmp_path) as store, failing(monkeypatch, "fsync", 2, errno.EIO):
        part = store.part("hero")
        with pytest.raises(StorageFailed, match="I/O error"):
            await part.publish("hero.png")


async def test_a_folder_with_the_name_of_the_picture_is_explained(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as store:
        (tmp_path / "hero.png").mkdir()
        with pytest.raises(StorageFailed, match=r"hero.png is a folder, not a file: move it away"):
            await store.part("hero").publish("hero.png")
        with pytest.raises(StorageFailed, match=r"hero.png is a folder, not a file: move it away"):
            store.keep_aside("hero.png")


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    with OutputFolder(tmp_path) as store:
        part = store.part("hero")
        monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:3]))
        part.write(b"a whole picture")
        monkeypatch.undo()
        part.publish_now("hero.png")
    assert (tmp_path / "hero.png").read_bytes() == b"a whole picture"


FULL = """
import signal, sys
from pathlib import Path
from pipeline.errors import StorageFailed
from pipeline.output.local import OutputFolder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with OutputFolder(Path(sys.argv[1])) as store:
    part = store.part("hero")
    try:
        for _ in range(100):
            part.write(b"x" * 1000)
    except StorageFailed as error:
        print(error)
        part.discard()
"""


def test_a_file_that_really_cannot_grow_is_a_storage_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_500, 20_500)),
    )
    assert "file too large; see to it, then run again" in done.stdout
    assert files(tmp_path) == [".pipeline/lock"]


def test_what_will_be_overwritten_gets_a_second_name_and_stays_in_place(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as store:
        (tmp_path / "hero.png").write_bytes(b"old")
        mtime_ns = store.mtime_ns("hero.png")
        kept = store.keep_aside("hero.png")
        assert kept == store.keep_aside("hero.png")
        assert (tmp_path / "hero.png").read_bytes() == b"old"
        part = store.part("hero")
        part.write(b"new")
        part.publish_now("hero.png")
        assert (tmp_path / "hero.png").read_bytes() == b"new"
        assert (tmp_path / kept).read_bytes() == b"old"
        assert store.mtime_ns(kept) == mtime_ns
        digest = "cba06b5736faf67e54b07b561eae94395e774c517a7d910a54369e1263ccfbd4"
        assert kept == f".pipeline/replaced/{digest[:16]}-hero.png"
        assert inspect(tmp_path, kept, bytes=3, sha256=digest, mtime_ns=None) == "sound"


def test_a_link_that_will_be_overwritten_is_moved_and_its_target_left(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    with OutputFolder(tmp_path / "out") as store:
        (store.root / "hero.png").symlink_to("../victim")
        assert store.exists("hero.png")
        kept = store.keep_aside("hero.png")
        assert not store.exists("hero.png")
        assert (store.root / kept).is_symlink()
    assert (tmp_path / "victim").read_bytes() == b"mine"


def test_keeping_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as store, pytest.raises(StorageFailed, match="can't keep"):
        store.keep_aside("hero.png")


def test_a_kept_file_comes_back_under_a_further_name(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as store:
        (tmp_path / "hero.png").write_bytes(b"old")
        kept = store.keep_aside("hero.png")
        (tmp_path / "hero.png").unlink()
        store.link(kept, "fox.png")
        assert files(tmp_path) == [".pipeline/lock", kept, "fox.png"]
        with pytest.raises(StorageFailed, match="can't rename"):
            store.link("nothing.png", "fox.png")
        assert (tmp_path / "fox.png").read_bytes() == b"old"


def test_a_further_name_that_the_file_has_already_leaves_nothing_behind(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as store:
        (tmp_path / "hero.png").write_bytes(b"old")
        store.link("hero.png", "fox.png")
        store.link("hero.png", "fox.png")
        assert files(tmp_path) == [".pipeline/lock", "fox.png", "hero.png"]


def test_a_further_name_is_a_copy_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    with OutputFolder(tmp_path) as store:
        (tmp_path / "hero.png").write_bytes(b"old")
        monkeypatch.setattr(os, "link", refuse)
        store.link("hero.png", "fox.png")
        assert (tmp_path / "fox.png").read_bytes() == b"old"
        assert files(tmp_path) == [".pipeline/lock", "fox.png", "hero.png"]


def test_removing_is_for_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as store:
        (tmp_path / "hero.png").write_bytes(b"old")
        store.remove("hero.png")
        store.remove("hero.png")
        assert not store.exists("hero.png")


def test_a_broken_picture_is_kept_for_people_to_look_at(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as store:
        part = store.part("hero")
        part.write(b"broken")
        path = store.quarantine(part, "hero.png")
        assert path.read_bytes() == b"broken"
        assert files(tmp_path) == [".pipeline/lock", ".pipeline/quarantine/hero.png"]


def test_free_space_is_that_of_the_folders_disk(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as store:
        assert store.free_bytes() > 0
