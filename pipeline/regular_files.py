"""Opening files that somebody else may have put there: regular files only, and never a wait for a pipe's other end.

Every file of the output folder and of the state folder is opened here, unless it is created under a new name.
"""

import os
import stat
from pathlib import Path

from pipeline.errors import StorageFailed

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
BINARY = getattr(os, "O_BINARY", 0)

_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
"""Opening a pipe must not wait for its other end, and opening a terminal must not make it the program's own."""

A_LINK = "a symbolic link"

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: A_LINK,
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: Path | str, flags: int = os.O_RDONLY, mode: int = 0o600, *, follow: bool = False) -> int:
    """Open a regular file and return its descriptor.

    Args:
        path: The file.
        flags: As for `os.open`.
        mode: Of a file that is created.
        follow: Open what a symbolic link leads to, instead of refusing the link.

    Raises:
        StorageFailed: Something else has the name; the message says what.
        OSError: The system refused.
    """
    try:
        descriptor = os.open(path, flags | _AT_ONCE | BINARY | (0 if follow else NO_FOLLOW), mode)
    except OSError:
        refuse_other(path, follow=follow)
        raise
    try:
        found = _kind(os.fstat(descriptor).st_mode)
        if found:
            raise not_a_file(path, found)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def opener(path: str, flags: int) -> int:
    """The same for the `opener` of Python's own `open`."""
    return open_regular(path, flags)


def refuse_other(path: Path | str, *, follow: bool = False) -> None:
    """Make sure that a name is free, or that of a regular file, without opening it.

    Raises:
        StorageFailed: Something else has the name; the message says what.
        OSError: The system won't say.
    """
    found = other_at(path, follow=follow)
    if found:
        raise not_a_file(path, found)


def other_at(path: Path | str, *, follow: bool = False, folder: int | None = None) -> str | None:
    """What has a name, in words, where it is not a regular file; None where it is one, or nothing has the name.

    Args:
        path: The name.
        follow: Say it of what a symbolic link leads to, instead of the link.
        folder: An open folder that the path begins in.

    Raises:
        OSError: The system won't say.
    """
    try:
        mode = (os.stat(path, dir_fd=folder) if follow else os.lstat(path, dir_fd=folder)).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _kind(mode)


def obstacle_at(path: Path | str) -> str | None:
    """What stands in the way of a picture: as `other_at`, but a symbolic link does only if it leads to such a thing.

    Raises:
        OSError: The system won't say.
    """
    found = other_at(path)
    if found != A_LINK:
        return found
    target = other_at(path, follow=True)
    return f"{found} to {target}" if target else None


def not_a_file(path: Path | str, found: str) -> StorageFailed:
    """The error for a name that something else has."""
    return StorageFailed(f"{path} is {found}, not a file: move it away, then run again")


def _kind(mode: int) -> str | None:
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "something special")
