"""The output folder while one run holds it."""

import os
import secrets
import shutil
import stat
import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.output.local.disk import digest_of, duplicate, is_same_file, make_folder, stat_mtime_ns, translated
from pipeline.output.local.handle import FolderHandle
from pipeline.output.local.lock import Lock, NoLocks
from pipeline.output.local.part import OURS, Part, temporary_name
from pipeline.output.local.state_folder import QUARANTINE, REPLACED, make_private, require_plain
from pipeline.regular_files import obstacle_at, other_at


def _holds(path: Path, size: int, digest: str) -> bool:
    """Whether a file has these bytes; what is no regular file has none."""
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_size == size and digest_of(path) == digest


class OutputFolder:
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
        self._held = ExitStack()
        self._handle: FolderHandle | None = None
        self._replaced: FolderHandle | None = None
        self._opening = threading.Lock()
        self._others: frozenset[str] = frozenset()

    def __enter__(self) -> Self:
        """Make the folder, take its lock, clear away what a killed run left half-written, and try the disk.

        Raises:
            FolderLocked: Another run holds it; the message says which. Nothing was touched.
            StorageFailed: It can't be written to, or the state folder holds links, pipes or the like; the message
                says why and what to do.
        """
        make_private(self.state)
        require_plain(self.state)
        self._take_locks()
        try:
            with translated("write to", self.root):
                self.state.chmod(0o700)
                self._handle = FolderHandle(self.root)
                self._held.callback(self._handle.close)
                self._sweep()
                self._try_out()
        except BaseException:
            self._held.close()
            raise
        return self

    def _take_locks(self) -> None:
        """The lock elsewhere, where there is one, and the one in the folder as far as its file system has locks."""
        if self.elsewhere is not None:
            with translated("create", self.elsewhere):
                make_folder(self.elsewhere)
            self._held.callback(Lock(self.elsewhere / "lock", self.root).release)
        try:
            self._held.callback(Lock(self.state / "lock", self.root).release)
        except NoLocks:
            if self.elsewhere is None:
                raise
        except BaseException:
            self._held.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def _sweep(self) -> None:
        """Remove the temporary files of a run that was killed. The lock is held, so nobody writes to them.

        What is not a file is noted on the way: most systems say that with the name, so a million files cost nothing.
        """
        stale, others = [], []
        with os.scandir(self.root) as entries:
            for entry in entries:
                if OURS.fullmatch(entry.name):
                    stale.append(entry.path)
                elif not entry.is_file(follow_symlinks=False) and entry.name != self.state.name:
                    others.append(entry.name.casefold())
        self._others = frozenset(others)
        for path in stale:
            Path(path).unlink(missing_ok=True)

    def _try_out(self) -> None:
        """Do once, before anything is paid for, what every picture will need: create, write, fsync, rename."""
        landed = temporary_name("trial")
        part = self.part("trial")
        try:
            part.write(b"trial")
            part.publish_now(landed)
        finally:
            part.discard()
        (self.root / landed).unlink()

    def part(self, stem: str) -> Part:
        """A new temporary file for the picture that will be called `stem` and a suffix."""
        self.check_place()
        return Part(self.root, stem, self._open_handle)

    def check_place(self) -> None:
        """Find out whether the folder is still where it was when the run began.

        Raises:
            LedgerGone: The ledger is gone, or the folder with the ledger in it.
            StorageFailed: Somebody has moved it away, or put another in its place. What was begun lands where it is.
        """
        self._open_handle.check_place()

    @property
    def _open_handle(self) -> FolderHandle:
        if self._handle is None:
            raise ValueError(f"{self.root} is not open")
        return self._handle

    def guard(self, ledger: Path) -> None:
        """Let `check_place` look after the ledger too.

        Raises:
            StorageFailed: It can't be looked at.
        """
        self._open_handle.guard(ledger)

    @property
    def only_files(self) -> bool:
        """Whether nothing but files, and the state folder, was there when the folder was opened."""
        return not self._others

    def obstacle(self, path: str) -> str | None:
        """What stands where a picture is to land, in words, where that is neither a file nor a link to one.

        Looked up among what was there when the folder was opened: nearly every answer costs no call to the system.

        Raises:
            StorageFailed: The disk would not say.
        """
        if path.casefold() not in self._others:
            return None
        with translated("read", self.root / path):
            return obstacle_at(self.root / path)

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
            StorageFailed: The disk refused, there is no such file, or it is neither a file nor a link.
        """
        old = self.root / path
        with self._open_handle.translated("keep", old):
            kept = self._kept_folder()
            if old.is_symlink():
                new = self.state / REPLACED / f"{secrets.token_hex(6)}-{old.name}"
                old.replace(new)
            else:
                new = self._second_name(old)
                duplicate(old, new)
            kept.sync()
        return new.relative_to(self.root).as_posix()

    def _second_name(self, old: Path) -> Path:
        """The name under which a file is kept: always the same for the same bytes, unless something else has it."""
        digest = digest_of(old)
        new = self.state / REPLACED / f"{digest[:16]}-{old.name}"
        if os.path.lexists(new) and not is_same_file(new, old, digest):
            return new.with_name(f"{secrets.token_hex(8)}-{old.name}")
        return new

    def _kept_folder(self) -> FolderHandle:
        """The folder of what is kept, open: who keeps something at the same time shares one flush of the disk."""
        with self._opening:
            if self._replaced is None:
                self._replaced = FolderHandle(self._beside(REPLACED))
                self._held.callback(self._replaced.close)
            return self._replaced

    def link(self, old: str, new: str) -> None:
        """Give a file a further name in the folder, durably and over whatever has it; the old name stays.

        Raises:
            StorageFailed: The disk refused, or there is no such file.
        """
        source, target = self.root / old, self.root / new
        draft = self.root / temporary_name("link")
        with self._open_handle.translated("rename", source):
            try:
                duplicate(source, draft)
                draft.replace(target)
            finally:
                # Replacing one name of a file by another of the same file does nothing (POSIX).
                draft.unlink(missing_ok=True)
            self._open_handle.sync()

    def remove(self, path: str) -> None:
        """Remove a file, if it is there.

        Raises:
            StorageFailed: The disk refused.
        """
        with self._open_handle.translated("remove", self.root / path):
            (self.root / path).unlink(missing_ok=True)

    def quarantine(self, part: Part, name: str, digest: str | None = None) -> Path:
        """Keep a picture that can't be used in the state folder's `quarantine`, for people to look at.

        Args:
            part: Its bytes.
            name: The name it gets there.
            digest: The SHA-256 of its bytes, in hex. Given, a file of the same name with other bytes stays, for it
                was paid for too: the digest then goes into the name. Without it the new one takes the name.

        Returns:
            Where it is now.

        Raises:
            StorageFailed: The disk refused.
        """
        with self._open_handle.translated("write", self.state / QUARANTINE / name):
            path = self._beside(QUARANTINE) / name
            if digest is not None and os.path.lexists(path) and not _holds(path, part.size, digest):
                path = path.with_name(f"{path.stem}-{digest[:16]}{path.suffix}")
            if other_at(path):
                path = path.with_name(f"{secrets.token_hex(6)}-{name}")
            part.move_out(path)
        return path

    def _beside(self, name: str) -> Path:
        folder = self.state / name
        make_private(folder)
        return folder

    def free_bytes(self) -> int:
        """Bytes that may still be written to the folder's disk.

        Raises:
            StorageFailed: The disk won't say, or the folder is no longer where it was.
        """
        self.check_place()
        with translated("read", self.root):
            return shutil.disk_usage(self.root).free
