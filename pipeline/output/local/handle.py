"""A folder that is kept open, so that what is made in it lands there wherever its path leads by then."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import StorageFailed
from pipeline.output.local.disk import storage_failed, translated
from pipeline.regular_files import A_LINK, BINARY, NO_FOLLOW, not_a_file, other_at

_BY_HANDLE = sys.platform != "win32"
"""Windows opens no folders; there each name is looked up from the top."""


class LedgerGone(StorageFailed):
    """The ledger is no longer where the run began to write it, and what was paid for is not known without it."""


class FolderHandle:
    """Makes, renames and removes files in one folder, and makes their names durable.

    Its methods raise what the system raises, where nothing else is said; once closed, it goes by the folder's path.

    Args:
        folder: The folder; it must be there.

    Raises:
        OSError: It can't be opened.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY) if _BY_HANDLE else None
        self._is = folder.stat()
        self._ledger: tuple[Path, os.stat_result] | None = None
        self._counting = threading.Lock()
        self._syncing = threading.Lock()
        self._made = 0
        self._durable = 0
        self._failed = 0
        self._error = OSError()

    def close(self) -> None:
        """Let go of the folder."""
        fd, self._fd = self._fd, None
        if fd is not None:
            # Every name is durable already, and nothing was written through it: its end tells nothing.
            with suppress(OSError):
                os.close(fd)

    def guard(self, ledger: Path) -> None:
        """Let `check_place` look after the ledger too: it lies in this folder, or elsewhere.

        Raises:
            StorageFailed: It can't be looked at.
        """
        with translated("read", ledger):
            self._ledger = (ledger.absolute(), ledger.stat())

    def check_place(self) -> None:
        """Find out whether the folder and its ledger are still where they were.

        Raises:
            LedgerGone: The ledger is not, neither there nor in the folder as it was opened.
            StorageFailed: The folder was moved away or removed, or another one has its place. Or the system won't tell.
        """
        with translated("read", self._folder):
            in_place = _is_at(self._is, self._folder)
            if in_place and (self._ledger is None or _is_at(self._ledger[1], self._ledger[0])):
                return
            kept = not in_place and self._has_ledger()
            removed = self._fd is not None and os.fstat(self._fd).st_nlink == 0
        if kept and removed:
            raise StorageFailed(
                f"{self._folder} was removed while this run was on; its ledger is kept elsewhere, so the next run "
                "fetches what was paid for again, as far as its URLs still work"
            )
        if kept:
            raise StorageFailed(
                f"{self._folder} was moved or replaced while this run was on; put it back, then run again "
                "(nothing that was paid for is lost: it is in the folder that was moved)"
            )
        what = self._ledger[0] if in_place and self._ledger else f"{self._folder}, with the ledger in it,"
        raise LedgerGone(
            f"{what} was removed or replaced while this run was on, and with it the record of what was paid for. "
            "Bring it back, or a copy of it, before the next run: without its ledger, that run pays for every picture "
            "again"
        )

    def _has_ledger(self) -> bool:
        """Whether the ledger goes on being what it was, in the folder as it was opened or elsewhere.

        Raises:
            OSError: The system won't say.
        """
        if self._ledger is None:
            # A folder that was removed has no name left; one that was moved has.
            return self._fd is None or os.fstat(self._fd).st_nlink > 0
        path, was = self._ledger
        folder = self._folder.absolute()
        if self._fd is not None and path.is_relative_to(folder):
            return _is_at(was, path.relative_to(folder), self._fd)
        return _is_at(was, path)

    @contextmanager
    def translated(self, doing: str, path: Path | str) -> Iterator[None]:
        """Turn what the disk refuses inside into a `StorageFailed`; that the folder is gone explains it better."""
        try:
            yield
        except OSError as error:
            self.check_place()
            raise storage_failed(doing, path, error) from error

    def create(self, name: str) -> int:
        """A descriptor for writing to a new file; no file that is there is opened, and no link followed."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW | BINARY
        return os.open(self._at(name), flags, 0o666, dir_fd=self._fd)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name in the folder, over a file or a link that has it.

        Raises:
            StorageFailed: Something else has it.
        """
        found = other_at(self._at(new), folder=self._fd)
        if found not in (None, A_LINK):
            raise not_a_file(f"{self._folder}{os.sep}{new}", found)
        os.replace(self._at(old), self._at(new), src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def move_out(self, name: str, path: Path) -> None:
        """Move a file to a path outside the folder, over whatever is there."""
        os.replace(self._at(name), path, src_dir_fd=self._fd)

    def remove(self, name: str) -> None:
        """Remove a file."""
        os.unlink(self._at(name), dir_fd=self._fd)

    def _at(self, name: str) -> str:
        return name if self._fd is not None else f"{self._folder}{os.sep}{name}"

    def sync(self) -> None:
        """Return once every name that was made in the folder before this call is durable.

        For all threads that have just made one at the same time: the first in line syncs for all that wait, since what
        was renamed before a sync began is durable once it has ended. When it fails it fails for all of them: the
        kernel tells of an error once, and another sync would report success.
        """
        with self._counting:
            self._made += 1
            mine = self._made
        with self._syncing:
            if mine <= self._failed:
                raise OSError(self._error.errno, self._error.strerror)
            if mine <= self._durable:
                return
            made = self._made
            try:
                if self._fd is not None:
                    os.fsync(self._fd)
            except OSError as error:
                self._failed, self._error = made, error
                raise
            self._durable = made


def _is_at(was: os.stat_result, path: Path, folder: int | None = None) -> bool:
    """Whether a path, inside an open folder if one is given, leads to what it led to before."""
    try:
        there = path.stat() if folder is None else os.stat(path, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return os.path.samestat(there, was)
