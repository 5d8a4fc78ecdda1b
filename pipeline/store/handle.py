"""A folder that is kept open, so that what is made in it lands there wherever its path leads by then."""

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

from pipeline.errors import StorageFailed
from pipeline.store.disk import BINARY, NO_FOLLOW, translated

_BY_HANDLE = sys.platform != "win32"
"""Windows opens no folders; there each name is looked up from the top."""


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

    def check_place(self) -> None:
        """Find out whether the folder's path still leads to it.

        Raises:
            StorageFailed: It does not: somebody has moved it away, or put another in its place. Or nobody can tell.
        """
        with translated("read", self._folder):
            try:
                there = self._folder.stat()
            except (FileNotFoundError, NotADirectoryError):
                there = None
        if there is None or not os.path.samestat(there, self._is):
            raise StorageFailed(
                f"{self._folder} was moved or replaced while this run was on; put it back, then run again "
                "(nothing that was paid for is lost: it is in the folder that was moved)"
            )

    def create(self, name: str) -> int:
        """A descriptor for writing to a new file; no file that is there is opened, and no link followed."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW | BINARY
        return os.open(self._at(name), flags, 0o666, dir_fd=self._fd)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name in the folder, over whatever has it."""
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
