"""A picture on its way to the disk: a temporary file beside its final name."""

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from pipeline.errors import StorageFailed
from pipeline.output.local.handle import FolderHandle

OURS = re.compile(r"\..*\.[0-9a-f]{16}(\.part)+", re.DOTALL)
"""What every temporary name matches, and hardly a file of anybody else's."""


def temporary_name(stem: str) -> str:
    """A name that `OURS` knows again; the stem is cut so that it stays within the 255 bytes a name may have."""
    return f".{stem[:48]}.{secrets.token_hex(8)}.part"


class Part:
    """A file that is not whole yet, under a temporary name beside its final one.

    Made by `OutputFolder.part`. The name is random and the file is created exclusively, so that neither another file
    nor a planted symbolic link is ever written to; its mode is what the umask says.

    Attributes:
        size: Bytes written so far.

    Raises:
        StorageFailed: From every method but `discard`: the disk refused.
    """

    def __init__(self, folder: Path, stem: str, handle: FolderHandle) -> None:
        self._handle = handle
        self._folder = folder
        self._name = temporary_name(stem)
        with self._handle.translated("create a file in", folder):
            self._fd: int | None = handle.create(self._name)
        self.size = 0

    @property
    def path(self) -> Path:
        """Where the file is as long as it has not landed."""
        return self._folder / self._name

    @property
    def _open_fd(self) -> int:
        if self._fd is None:
            raise ValueError(f"{self._name} is closed")
        return self._fd

    def write(self, data: bytes | memoryview) -> None:
        """Append all of `data`, inline: handing it to a thread costs more than the write."""
        rest = memoryview(data)
        with self._handle.translated("write", self._folder):
            while rest:
                rest = rest[os.write(self._open_fd, rest) :]
        self.size += len(data)

    def truncate(self) -> None:
        """Start over with an empty file."""
        with self._handle.translated("write", self._folder):
            os.ftruncate(self._open_fd, 0)
            os.lseek(self._open_fd, 0, os.SEEK_SET)
        self.size = 0

    async def publish(self, name: str) -> int:
        """Make the bytes durable, then give the file its final name, over whatever had it.

        Returns:
            The file's modification time in nanoseconds, for `inspect`.
        """
        # Imported here: whoever only looks at files needs no event loop.
        import anyio.to_thread

        return await anyio.to_thread.run_sync(self.publish_now, name)

    def publish_now(self, name: str) -> int:
        """What `land` does, in the caller's thread.

        A failure is final and the file is gone: after a failed fsync the kernel has dropped the bytes, and a second
        fsync would report success.
        """
        try:
            with self._handle.translated("write", f"{self._folder}{os.sep}{name}"):
                os.fsync(self._open_fd)
                mtime_ns = os.fstat(self._open_fd).st_mtime_ns
                self._close()
                self._handle.rename(self._name, name)
                self._handle.sync()
        except StorageFailed:
            self.discard()
            raise
        return mtime_ns

    def move_out(self, path: Path) -> None:
        """Close the file and move it to a path outside the folder, where it need not survive a power cut."""
        with self._handle.translated("write", path):
            self._close()
            self._handle.move_out(self._name, path)

    def discard(self) -> None:
        """Close and remove the file; what can't be removed now goes when the folder is next opened."""
        with suppress(OSError):
            self._close()
        with suppress(OSError):
            self._handle.remove(self._name)

    def _close(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)
