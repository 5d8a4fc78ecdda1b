import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.errors import FolderLocked, StorageFailed
from pipeline.output.local import OutputFolder, lock

HOLDER = """
import sys, time
from pathlib import Path
from pipeline.output.local import OutputFolder
with OutputFolder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(root: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def everything(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in root.rglob("*")
    }


def test_the_second_run_says_who_holds_the_folder_and_touches_nothing(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    try:
        (tmp_path / ".hero.0123456789abcdef.part").write_bytes(b"the holder is writing this")
        before = everything(tmp_path)
        with pytest.raises(FolderLocked) as caught, OutputFolder(tmp_path):
            pass
        words = json.loads((tmp_path / ".pipeline" / "lock").read_text())
        assert f"process {holder.pid} on {words['host']}, started {words['started']}" in str(caught.value)
        assert str(tmp_path) in str(caught.value)
        assert everything(tmp_path) == before
    finally:
        holder.kill()
        holder.communicate()


def test_a_killed_holder_leaves_no_lock_behind(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    with OutputFolder(tmp_path):
        assert json.loads((tmp_path / ".pipeline" / "lock").read_text())["pid"] == os.getpid()


def test_one_process_cannot_hold_a_folder_twice(tmp_path: Path) -> None:
    with OutputFolder(tmp_path), pytest.raises(FolderLocked, match=f"process {os.getpid()}"), OutputFolder(tmp_path):
        pass


def test_the_lock_file_is_never_removed(tmp_path: Path) -> None:
    with OutputFolder(tmp_path):
        before = (tmp_path / ".pipeline" / "lock").stat().st_ino
    with OutputFolder(tmp_path):
        assert (tmp_path / ".pipeline" / "lock").stat().st_ino == before


def test_longer_words_of_an_earlier_holder_leave_no_tail(tmp_path: Path) -> None:
    (tmp_path / ".pipeline").mkdir()
    (tmp_path / ".pipeline" / "lock").write_text("x" * 1000)
    with OutputFolder(tmp_path):
        assert json.loads((tmp_path / ".pipeline" / "lock").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize(
    "words", ["", "{", "[]", '{"pid": "x", "host": 1, "started": 2}', '{"pid": 1e999, "host": ""}']
)
def test_a_holder_whose_words_cannot_be_read_is_another_run(
    tmp_path: Path, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_MOMENT", 0.01)
    with OutputFolder(tmp_path):
        (tmp_path / ".pipeline" / "lock").write_text(words)
        with pytest.raises(FolderLocked, match="in use by another run"), OutputFolder(tmp_path):
            pass


def words_of(pid: int) -> str:
    return json.dumps({"pid": pid, "host": socket.gethostname(), "started": "2026-01-01T00:00:00+00:00"})


def test_a_forerunner_that_is_gone_is_not_named_as_the_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_MOMENT", 0.01)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with OutputFolder(tmp_path):
        (tmp_path / ".pipeline" / "lock").write_text(words_of(gone.pid))
        with pytest.raises(FolderLocked, match="in use by another run"), OutputFolder(tmp_path):
            pass


@pytest.mark.parametrize("words", ["", '{"pid": 99999999'])
def test_a_holder_that_has_only_just_taken_the_lock_is_waited_for(tmp_path: Path, words: str) -> None:
    """Between taking the lock and saying so there is a moment: a run that came in it named nobody."""
    place = tmp_path / ".pipeline" / "lock"
    with OutputFolder(tmp_path):
        place.write_text(words)
        signs = threading.Timer(0.03, place.write_text, [words_of(os.getpid())])
        signs.start()
        with pytest.raises(FolderLocked, match=f"process {os.getpid()} on "), OutputFolder(tmp_path):
            pass
        signs.join()


def test_a_link_planted_as_lock_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "out" / ".pipeline").mkdir(parents=True)
    (tmp_path / "out" / ".pipeline" / "lock").symlink_to(victim)
    with pytest.raises(StorageFailed), OutputFolder(tmp_path / "out"):
        pass
    assert victim.read_text() == "mine"


def test_a_file_system_without_locks_is_refused_in_plain_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(fd: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock, "_take", no_locks)
    with pytest.raises(StorageFailed, match=r"No locks available.*state_dir"):
        lock.Lock(tmp_path / "lock", tmp_path)
