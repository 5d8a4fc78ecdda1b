"""One run at a time: a lock that the kernel holds, and lets go of when its holder dies.

The lock file is never removed: a second process could otherwise lock the removed file and a third one a new file of
the same name, and both would run.
"""

import errno
import json
import os
import socket
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import FolderLocked, StorageFailed
from pipeline.output.local.disk import translated
from pipeline.regular_files import open_regular

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    _BEYOND = 1 << 30  # a locked range can't be read by others, so it lies behind the holder's words

    def _take(fd: int) -> None:
        os.lseek(fd, _BEYOND, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

    def _runs(_: int) -> bool:
        return True  # nothing there asks without harm: signal 0 is Ctrl-C
else:
    import fcntl

    def _take(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _runs(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except PermissionError:
            return True
        except ProcessLookupError:
            return False
        return True


_HELD = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK})

_MOMENT = 1.0
"""Seconds between taking a lock and saying so that nobody needs more of, on a machine that is busy."""


class NoLocks(StorageFailed):
    """The file system has no locks."""


class Lock:
    """The lock on one file, held until `release` or the end of the process.

    `folder` is what it protects, for the message.

    Raises:
        FolderLocked: Somebody else holds it; the message says who. Nothing was touched.
        NoLocks: Its file system has no locks.
        StorageFailed: The file can't be opened, or something else has its name.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        with translated("open", path):
            self._fd = open_regular(path, os.O_RDWR | os.O_CREAT)
        try:
            self._hold(path, folder)
        except BaseException:
            self.release()
            raise

    def _hold(self, path: Path, folder: Path) -> None:
        try:
            _take(self._fd)
        except OSError as error:
            if error.errno in _HELD:
                raise FolderLocked(f"{folder} is in use by {self._holder()}; wait for it or stop it") from None
            raise NoLocks(
                f"can't lock {path}: {error.strerror}; its file system has no locks: keep the ledger on a local disk "
                "with `state_dir:` in the job"
            ) from error
        with translated("write", path):
            self._sign()

    def _sign(self) -> None:
        """Say who holds the lock. Written over the old words first, so that a reader never finds an empty file."""
        words = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        data = json.dumps(words).encode()
        os.lseek(self._fd, 0, os.SEEK_SET)
        os.write(self._fd, data)
        os.ftruncate(self._fd, len(data))

    def _holder(self) -> str:
        """Who holds the lock, for the message. Whoever has just taken it is given a moment to say so."""
        until = time.monotonic() + _MOMENT
        while True:
            if (words := self._words()) or time.monotonic() > until:
                return words or "another run"
            time.sleep(_MOMENT / 100)

    def _words(self) -> str:
        """What the holder says of itself; empty where it has not yet, and the words are none or its forerunner's."""
        try:
            os.lseek(self._fd, 0, os.SEEK_SET)
            words = json.loads(os.read(self._fd, 4096))
            pid, host = int(words["pid"]), words["host"]
            if host == socket.gethostname() and not _runs(pid):
                return ""
            return f"process {pid} on {host}, started {words['started']}"
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return ""

    def release(self) -> None:
        """Let go of the lock. The file stays; closing it lets go in any case, also where the disk complains of it."""
        with suppress(OSError):
            os.close(self._fd)
