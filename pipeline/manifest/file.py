"""`manifest.jsonl`: one JSON object a line, one line an image. A view of the ledger for whoever builds on the files.

During a run lines are only ever appended, each whole; when one image has several, the last one holds. After a run the
file is written anew beside itself and renamed into place: exactly one line for each image of the job, in its order.
"""

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, get_args, get_type_hints

from pipeline.errors import StorageFailed
from pipeline.model import Record
from pipeline.regular_files import open_regular, opener, refuse_other

NAME = "manifest.jsonl"

_FIELDS = tuple(field.name for field in fields(Record))

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_LARGEST = 2**63
"""No number of a record is as large."""

_LINE_BREAKS = {ord(mark): f"\\u{ord(mark):04x}" for mark in "\x85\u2028\u2029"}
"""Characters that JSON lets stand as they are and that `str.splitlines` takes for the end of a line."""


def to_line(record: Record) -> bytes:
    """A record as its line, with the line feed."""
    text = _ENCODER.encode(as_dict(record))
    return (text if text.isascii() else text.translate(_LINE_BREAKS)).encode() + b"\n"


def from_line(line: bytes) -> Record:
    """The record of a line; fields that a later version added are passed over.

    Raises:
        ValueError: The line is no record.
    """
    found = json.loads(line)
    if not isinstance(found, dict) or not all(name in found and _fits(name, found[name]) for name in _FIELDS):
        raise ValueError("not a manifest record")
    return Record(**{name: found[name] for name in _FIELDS})


def _fits(name: str, value: Any) -> bool:
    """Whether a field's value is of its type; a line that someone has edited may hold anything."""
    kinds = _KINDS[name]
    if not isinstance(value, kinds) or isinstance(value, bool):
        return False
    if isinstance(value, str):
        return value.isascii() or value == value.encode("utf-8", "replace").decode()
    return not isinstance(value, int | float) or -_LARGEST < value < _LARGEST


def _kinds(annotation: Any) -> tuple[type, ...]:
    found = get_args(annotation) or (annotation,)
    kinds = tuple(str if isinstance(kind, str) else kind for kind in found)
    return (*kinds, int) if float in kinds else kinds


def read(path: Path) -> Iterator[tuple[int, Record | None]]:
    """Every line of a manifest with its number from 1: its record, or None where a line is none.

    A last line without its line feed is still being written, and is passed over.

    Raises:
        StorageFailed: The file can't be read.
    """
    for number, line in enumerate(_lines(path), 1):
        yield number, _record_or_none(line)


def read_last(path: Path, most: int) -> Iterator[Record | None]:
    """The same of the last lines alone, without their numbers; the ones before are not even understood.

    Raises:
        StorageFailed: The file can't be read.
    """
    yield from map(_record_or_none, deque(_lines(path), maxlen=most))


def _lines(path: Path) -> Iterator[bytes]:
    try:
        # Whoever only reads may be led elsewhere by a link; it must be a file all the same.
        with os.fdopen(open_regular(path, follow=True), "rb") as lines:
            yield from (line for line in lines if line.endswith(b"\n"))
    except OSError as error:
        raise StorageFailed(f"{path} can't be read: {error.strerror}") from None


def _record_or_none(line: bytes) -> Record | None:
    try:
        return from_line(line)
    except (ValueError, RecursionError):
        return None


_KINDS = {name: _kinds(annotation) for name, annotation in get_type_hints(Record).items()}
"""The types that each field of a record may have."""


def require_file(path: Path) -> None:
    """Make sure that a name is free or a file's, so that it can be written.

    Raises:
        StorageFailed: Something else has it, or the system won't say.
    """
    try:
        refuse_other(path)
    except OSError as error:
        raise StorageFailed(f"{path} can't be written: {error.strerror}") from None


class ManifestLog:
    """The manifest while a run writes it. A context manager; it makes and opens the file with its first line.

    Raises:
        StorageFailed: The file can't be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def append(self, record: Record) -> None:
        """Add one line, whole."""
        rest = to_line(record)
        try:
            if self._file is None:
                self._file = self._open()
            # A disk that fills up takes a part of a write without an error; the next write then gets it.
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            # What stands there of the line is cut away before the next one.
            self._close()
            raise StorageFailed(f"{self._path} can't be written: {error.strerror}") from None

    def _open(self) -> IO[bytes]:
        # A line that a killed run left unfinished would swallow the first of ours.
        descriptor = open_regular(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        log = os.fdopen(descriptor, "r+b", buffering=0)
        end = log.seek(0, os.SEEK_END)
        while end and not _ends_line(log, end):
            end -= 1
        log.truncate(end)
        return log

    def __enter__(self) -> Self:
        # Said before the first request: a picture whose line finds no place would end the run after it was paid for.
        require_file(self._path)
        require_file(_fresh(self._path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _ends_line(log: IO[bytes], end: int) -> bool:
    log.seek(end - 1)
    return log.read(1) == b"\n"


def _fresh(path: Path) -> Path:
    """Where a manifest is written that is to take the place of this one."""
    return path.with_name(f".{path.name}.new")


def write(path: Path, records: Iterable[Record]) -> None:
    """Write the manifest anew and put it in place of the old one, unless that says the same already.

    Raises:
        StorageFailed: It can't be written, or something else has its name; the old one is left as it was.
    """
    require_file(path)
    fresh = _fresh(path)
    try:
        fresh.unlink(missing_ok=True)
        # Made anew, whatever stood there: never written through a link.
        with fresh.open("xb") as out:
            out.writelines(to_line(record) for record in records)
            out.flush()
            if _same(fresh, path):
                return
            os.fsync(out.fileno())
        fresh.replace(path)
    except OSError as error:
        raise StorageFailed(f"{path} can't be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            fresh.unlink()


def _same(one: Path, other: Path) -> bool:
    if not other.exists() or one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as a, open(other, "rb", opener=opener) as b:
        while left := a.read(1 << 20):
            if left != b.read(1 << 20):
                return False
    return True


def as_dict(record: Record) -> dict[str, Any]:
    """A record as the dict that its line holds."""
    return {name: getattr(record, name) for name in _FIELDS}
