"""Opening what a job names, without trusting it: only regular files, of a size a job can have, in UTF-8."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pipeline.model import Place
from pipeline.providers.model_rules import nearest

BOM = b"\xef\xbb\xbf"
SAVE_AS_UTF8 = "save the file as UTF-8 (in Excel: Save as > CSV UTF-8)"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
_MEGABYTE = 1_000_000


class Unreadable(Exception):
    """A file can't be read: where, what was found, and the cure."""

    def __init__(self, place: Place, message: str, cure: str) -> None:
        super().__init__(message)
        self.place, self.message, self.cure = place, message, cure


@contextmanager
def opened(path: Path, shown: str, most: int) -> Iterator[BinaryIO]:
    """A regular file of at most this many bytes, open for reading.

    Raises:
        Unreadable: It is none, is missing, too large, or may not be read.
    """
    place = Place(shown)
    try:
        # Not to wait for the other end of a pipe that someone named as a file.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise Unreadable(place, *_missing(path, shown)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name can't be one of a file"
        link = _link(path)
        cure = "make the link anew" if getattr(error, "errno", 0) == errno.ELOOP else "check its permissions"
        raise Unreadable(place, f"it can't be opened: {reason}{link}", cure) from None
    try:
        _refuse(os.fstat(descriptor), path, place, most)
    except Unreadable:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as file:
        try:
            yield file
        except OSError as error:
            raise Unreadable(place, f"it can't be read: {error.strerror}", "check the disk") from None


def _link(path: Path) -> str:
    """Where a link leads, to be added to what is said of it; empty where it is none."""
    with suppress(OSError, ValueError):
        return f" (it is a link to {path.readlink()})"
    return ""


def _missing(path: Path, shown: str) -> tuple[str, str]:
    """What to say of a file that is not there: where a link leads, or which file beside it may be meant."""
    if link := _link(path):
        return f"there is no such file{link}", "bring the file to where the link leads, or make the link anew"
    with suppress(OSError, ValueError):
        names = [entry.name for entry in os.scandir(path.parent) if entry.is_file()]
        if likely := nearest(path.name, sorted(names)):
            return "there is no such file", f"did you mean {Path(shown).with_name(likely)}?"
    return "there is no such file", "check the path"


def _refuse(status: os.stat_result, path: Path, place: Place, most: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise Unreadable(place, f"it is {kind}{_link(path)}", "name a file")
    if status.st_size > most:
        size = status.st_size / _MEGABYTE
        raise Unreadable(
            place, f"it has {size:.0f} MB{_link(path)}", f"a file here may have {most // _MEGABYTE} MB; split it"
        )


def text_of(path: Path, shown: str, most: int) -> str:
    """The text of a whole file, without its byte order mark.

    Raises:
        Unreadable: It can't be read, or is no UTF-8 text.
    """
    with opened(path, shown, most) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Unreadable(Place(shown), "it grows while it is read", "name a finished file")
    return decoded(data.removeprefix(BOM), shown, 1)


def decoded(data: bytes, shown: str, line: int) -> str:
    """Bytes that begin on this line of a file, as text.

    Raises:
        Unreadable: They are no UTF-8 text; with the place of the first byte that is none.
    """
    if data.startswith(_WIDE_BOMS):
        raise Unreadable(Place(shown), "it is written in UTF-16", "save it as UTF-8")
    if (at := data.find(b"\0")) >= 0:
        place = Place(shown, line + data.count(b"\n", 0, at))
        raise Unreadable(place, "it is a binary file, not text", "name a text file")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        place = Place(shown, line + before.count(b"\n"), column)
        raise Unreadable(place, f"not UTF-8 (byte 0x{data[error.start]:02x})", "save the file as UTF-8") from None
