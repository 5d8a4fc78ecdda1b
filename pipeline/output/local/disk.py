"""What the operating system says about files, in this program's words."""

import errno
import hashlib
import itertools
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Literal

from pipeline.errors import StorageFailed
from pipeline.regular_files import opener, other_at, refuse_other

FileState = Literal["sound", "missing", "damaged"]

_CURES = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EROFS: "the file system is read-only; choose another output folder",
    errno.EACCES: "permission denied; choose a folder this user may write to",
    errno.EPERM: "permission denied; choose a folder this user may write to",
    errno.EIO: "the disk reports an I/O error; check its health",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another",
    errno.EEXIST: "something that is no folder has that name; choose another",
    errno.EISDIR: "a folder has that name; move it away",
    errno.EMFILE: "too many open files; raise `ulimit -n` or lower the concurrency",
}

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})
"""Something that should be there is not: nobody can say what went with it."""


def storage_failed(doing: str, path: Path | str, error: OSError) -> StorageFailed:
    """The error for people: what was being done, to which file, why it failed and what to do."""
    said = f"{error.strerror.lower() if error.strerror else 'the system gives no reason'}; see to it"
    why = _CURES.get(error.errno or 0) or said
    kept = "" if error.errno in _GONE else " (nothing that was paid for is lost)"
    return StorageFailed(f"can't {doing} {path}: {why}, then run again{kept}")


@contextmanager
def translated(doing: str, path: Path | str) -> Iterator[None]:
    """Turn what the disk refuses inside into a `StorageFailed`."""
    try:
        yield
    except OSError as error:
        raise storage_failed(doing, path, error) from error


def is_there(path: Path, *, filled: bool = False) -> bool:
    """Whether there is a file or a folder; with `filled`, a file that is not empty.

    Raises:
        StorageFailed: The disk would not say: that is no proof that there is none. Or something else is there, where
            a file must be.
    """
    with translated("read", path):
        if filled:
            refuse_other(path)
        return path.exists() and not (filled and path.stat().st_size == 0)


def sync_folder(folder: Path) -> None:
    """Make renames and new names in a folder survive a power cut.

    Raises:
        OSError: The disk refused.
    """
    if sys.platform == "win32":  # pragma: no cover - folders can't be opened there
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter, with those above it, where they are missing; durably.

    Raises:
        OSError: The disk refused.
    """
    missing = list(itertools.takewhile(lambda place: not place.exists(), (folder, *folder.parents)))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for made in reversed(missing):
        # A folder that may be written to and not read can't be synced; then its file system is to be trusted.
        with suppress(PermissionError):
            sync_folder(made.parent)


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hex. A symbolic link is not followed.

    Raises:
        StorageFailed: It is not a regular file.
        OSError: It can't be read.
    """
    with open(path, "rb", opener=opener) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_same_file(path: Path, other: Path, sha256: str) -> bool:
    """Whether `path` is the regular file `other`, whose digest is given, or one with the same bytes.

    Raises:
        OSError: It can't be read.
    """
    if other_at(path):
        return False
    return path.samefile(other) or (path.stat().st_size == other.stat().st_size and digest_of(path) == sha256)


def duplicate(old: Path, new: Path) -> None:
    """Give a file a second name; where the file system has no hard links, make a durable copy with the same times.

    Raises:
        StorageFailed: The old one is not a regular file.
        OSError: The disk refused, or the old one is missing.
    """
    try:
        os.link(old, new)
    except FileExistsError:
        return
    except OSError:
        _copy(old, new)


def _copy(old: Path, new: Path) -> None:
    draft = new.with_name(f"{new.name}.part")
    # Made anew, whatever stood there: never written through a link.
    draft.unlink(missing_ok=True)
    with open(old, "rb", opener=opener) as source, draft.open("xb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
        copy.flush()
        shutil.copystat(old, draft, follow_symlinks=False)
        os.fsync(copy.fileno())
    draft.replace(new)


def _status(root: Path, path: str) -> os.stat_result | FileState:
    """The status of a regular file inside `root`, reached through no symbolic link; else what is wrong with it."""
    if "/" not in path and "\\" not in path and "\0" not in path and path not in ("", ".", ".."):
        try:
            status = os.lstat(f"{root}{os.sep}{path}")
        except FileNotFoundError:
            return "missing"
        return status if stat.S_ISREG(status.st_mode) else "damaged"
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or parts[0] == "/":
        return "damaged"
    place = root
    try:
        for part in parts[:-1]:
            place /= part
            if place.is_symlink():
                return "damaged"
        status = (place / parts[-1]).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except ValueError:  # a NUL in the path
        return "damaged"
    return status if stat.S_ISREG(status.st_mode) else "damaged"


def inspect(root: Path, path: str, *, bytes: int, sha256: str, mtime_ns: int | None) -> FileState:  # noqa: A002
    """Whether a file is still the one that was saved.

    A file of the same size and modification time is taken as unchanged without reading it; any other of the same size
    is read and hashed. A symbolic link, and a path that leads out of the folder, count as damaged.

    Args:
        root: The output folder.
        path: Relative to it, as `SavedImage.path`.
        bytes: The size it was saved with.
        sha256: The hex digest it was saved with.
        mtime_ns: The modification time it was saved with, or None to read the file in any case.

    Raises:
        StorageFailed: The file is there but may not be read. That is no reason to buy it again.
    """
    with translated("read", f"{root}{os.sep}{path}"):
        status = _status(root, path)
        if not isinstance(status, os.stat_result):
            return status
        if status.st_size != bytes:
            return "damaged"
        if status.st_mtime_ns == mtime_ns or digest_of(root / path) == sha256:
            return "sound"
        return "damaged"


def stat_mtime_ns(root: Path, path: str) -> int | None:
    """The modification time of a saved file in nanoseconds, or None where there is no such file."""
    with translated("read", root / path):
        status = _status(root, path)
        return status.st_mtime_ns if isinstance(status, os.stat_result) else None
