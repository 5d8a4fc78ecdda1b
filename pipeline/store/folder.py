"""The output folder while one run holds it."""

import os
import re
import secrets
import shutil
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.errors import StorageFailed
from pipeline.store.disk import (
    BINARY,
    NO_FOLLOW,
    FolderSync,
    digest_of,
    duplicate,
    make_folder,
    stat_mtime_ns,
    sync_folder,
    translated,
)
from pipeline.store.lock import Lock, NoLocks

_OURS = re.compile(r"\..*\.[0-9a-f]{16}(\.part)+", re.DOTALL)


def _temporary_name(stem: str) -> str:
    """A name that `_OURS` knows again; the stem is cut so that it stays within the 255 bytes a name may have."""
    return f".{stem[:48]}.{secrets.token_hex(8)}.part"


def _make_private(folder: Path) -> None:
    """Make a folder that only its owner may enter, if it is not there, so that a power cut leaves it there.

    Raises:
        StorageFailed: It can't be made, or is a symbolic link: what is written must stay within the output folder.
    """
    with translated("create", folder):
        if folder.is_symlink():
            raise StorageFailed(
                f"{folder} is a symbolic link, and none is followed there; remove it (the ledger can be kept elsewhere "
                "with `state_dir:` in the job)"
            )
        make_folder(folder)


class Part:
    """A file that is not whole yet, under a temporary name beside its final one.

    Made by `Store.part`. The name is random and the file is created exclusively, so that neither another file nor a
    planted symbolic link is ever written to; its mode is what the umask says.

    Attributes:
        size: Bytes written so far.

    Raises:
        StorageFailed: From every method but `discard`: the disk refused.
    """

    def __init__(self, folder: Path, stem: str, names: FolderSync) -> None:
        self._names = names
        self._folder = folder
        # A text: `Path` takes longer to put one together than the system to create the file.
        self._path = f"{folder}{os.sep}{_temporary_name(stem)}"
        with translated("create a file in", folder):
            self._fd: int | None = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW | BINARY, 0o666)
        self.size = 0

    @property
    def _open_fd(self) -> int:
        if self._fd is None:
            raise ValueError(f"{self._path} is closed")
        return self._fd

    def write(self, data: bytes) -> None:
        """Append all of `data`, inline: handing it to a thread costs more than the write."""
        rest = memoryview(data)
        with translated("write", self._path):
            while rest:
                rest = rest[os.write(self._open_fd, rest) :]
        self.size += len(data)

    def truncate(self) -> None:
        """Start over with an empty file."""
        with translated("write", self._path):
            os.ftruncate(self._open_fd, 0)
            os.lseek(self._open_fd, 0, os.SEEK_SET)
        self.size = 0

    async def land(self, name: str) -> int:
        """Make the bytes durable, then give the file its final name, over whatever had it.

        Returns:
            The file's modification time in nanoseconds, for `inspect`.
        """
        # Imported here: whoever only looks at files needs no event loop.
        import anyio.to_thread

        return await anyio.to_thread.run_sync(self.land_now, name)

    def land_now(self, name: str) -> int:
        """What `land` does, in the caller's thread.

        A failure is final and the file is gone: after a failed fsync the kernel has dropped the bytes, and a second
        fsync would report success.
        """
        final = f"{self._folder}{os.sep}{name}"
        try:
            with translated("write", final):
                os.fsync(self._open_fd)
                mtime_ns = os.fstat(self._open_fd).st_mtime_ns
                self.move_to(final)
                self._names.wait()
        except StorageFailed:
            self.discard()
            raise
        return mtime_ns

    def move_to(self, path: str | Path) -> None:
        """Close the file and rename it to `path`, which need not survive a power cut."""
        with translated("write", path):
            self._close()
            os.replace(self._path, path)  # noqa: PTH105 - no `Path` in what is done for each picture

    def discard(self) -> None:
        """Close and remove the file; what can't be removed now goes when the folder is next opened."""
        with suppress(OSError):
            self._close()
        with suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108

    def _close(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)


class Store:
    """The output folder, made, tried out and locked for as long as the `with` block lasts.

    Attributes:
        root: The output folder.
        state: The folder inside it for what is not a picture: lock, ledger, replaced and quarantined files. Only its
            owner may enter (mode 0700).
        elsewhere: Another folder, for lock and ledger, where the output's file system has no locks; else None.
    """

    def __init__(self, root: Path, *, private: str = ".pipeline", elsewhere: Path | None = None) -> None:
        self.root = root
        self.state = root / private
        self.elsewhere = elsewhere
        self._locks = ExitStack()
        self._names = FolderSync(root)

    def __enter__(self) -> Self:
        """Make the folder, take its lock, clear away what a killed run left half-written, and try the disk.

        Raises:
            FolderLocked: Another run holds it; the message says which. Nothing was touched.
            StorageFailed: It can't be written to; the message says why and what to do.
        """
        _make_private(self.state)
        self._take_locks()
        try:
            with translated("write to", self.root):
                self.state.chmod(0o700)
                self._sweep()
                self._try_out()
        except BaseException:
            self._locks.close()
            raise
        return self

    def _take_locks(self) -> None:
        """The lock elsewhere, where there is one, and the one in the folder as far as its file system has locks."""
        if self.elsewhere is not None:
            with translated("create", self.elsewhere):
                make_folder(self.elsewhere)
            self._locks.callback(Lock(self.elsewhere / "lock", self.root).release)
        try:
            self._locks.callback(Lock(self.state / "lock", self.root).release)
        except NoLocks:
            if self.elsewhere is None:
                raise
        except BaseException:
            self._locks.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._locks.close()

    def _sweep(self) -> None:
        """Remove the temporary files of a run that was killed. The lock is held, so nobody writes to them."""
        with os.scandir(self.root) as entries:
            stale = [entry.path for entry in entries if _OURS.fullmatch(entry.name)]
        for path in stale:
            Path(path).unlink(missing_ok=True)

    def _try_out(self) -> None:
        """Do once, before anything is paid for, what every picture will need: create, write, fsync, rename."""
        landed = _temporary_name("trial")
        part = self.part("trial")
        try:
            part.write(b"trial")
            part.land_now(landed)
        finally:
            part.discard()
        (self.root / landed).unlink()

    def part(self, stem: str) -> Part:
        """A new temporary file for the picture that will be called `stem` and a suffix."""
        return Part(self.root, stem, self._names)

    def exists(self, path: str) -> bool:
        """Whether anything, be it a dangling symbolic link, has this path relative to the output folder."""
        return os.path.lexists(f"{self.root}{os.sep}{path}")

    def mtime_ns(self, path: str) -> int | None:
        """The modification time of a saved file in nanoseconds, for `inspect`; None where there is no such file."""
        return stat_mtime_ns(self.root, path)

    def keep_aside(self, path: str) -> str:
        """Give a file that is about to be overwritten a second name in the state folder's `replaced`.

        The file stays in its place until it is overwritten, so there is no moment without it. Its second name begins
        with its digest: the same bytes are kept once. A symbolic link has nothing to lose but itself, and is moved.

        Returns:
            The second name, relative to the output folder.

        Raises:
            StorageFailed: The disk refused, there is no such file, or it is a folder.
        """
        old = self.root / path
        with translated("keep", old):
            if old.is_symlink():
                new = self._beside("replaced") / f"{secrets.token_hex(6)}-{old.name}"
                old.replace(new)
            else:
                new = self._beside("replaced") / f"{digest_of(old)[:16]}-{old.name}"
                duplicate(old, new)
            sync_folder(new.parent)
        return new.relative_to(self.root).as_posix()

    def link(self, old: str, new: str) -> None:
        """Give a file a further name in the folder, durably and over whatever has it; the old name stays.

        Raises:
            StorageFailed: The disk refused, or there is no such file.
        """
        source, target = self.root / old, self.root / new
        draft = self.root / _temporary_name("link")
        with translated("rename", source):
            try:
                duplicate(source, draft)
                draft.replace(target)
            finally:
                # Replacing one name of a file by another of the same file does nothing (POSIX).
                draft.unlink(missing_ok=True)
            sync_folder(target.parent)

    def remove(self, path: str) -> None:
        """Remove a file, if it is there.

        Raises:
            StorageFailed: The disk refused.
        """
        with translated("remove", self.root / path):
            (self.root / path).unlink(missing_ok=True)

    def quarantine(self, part: Part, name: str) -> Path:
        """Keep a broken picture in the state folder's `quarantine`, for people to look at.

        Returns:
            Where it is now.

        Raises:
            StorageFailed: The disk refused.
        """
        with translated("write", self.state / "quarantine" / name):
            path = self._beside("quarantine") / name
            part.move_to(path)
        return path

    def _beside(self, name: str) -> Path:
        folder = self.state / name
        _make_private(folder)
        return folder

    def free_bytes(self) -> int:
        """Bytes that may still be written to the folder's disk."""
        with translated("read", self.root):
            return shutil.disk_usage(self.root).free
