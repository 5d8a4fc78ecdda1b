"""The rows of an included file: `.csv`, `.jsonl` or `.txt`, read one at a time."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.jobfile import files
from pipeline.jobfile.files import Unreadable
from pipeline.jobfile.scalars import read_scalar
from pipeline.model import Place

SUFFIXES = (".csv", ".jsonl", ".txt")

MOST_BYTES = 500_000_000
"""Bytes an included file may have."""

LONGEST_LINE = 1_000_000
"""Bytes a line of it may have."""


@dataclass(slots=True)
class Row:
    """One row of an included file: a `Source` of places. Never changed.

    Attributes:
        file: The file's name as errors show it.
        line: Where the row begins, counted from 1.
        cells: The columns and their values: text, a `Scalar`, or in `.jsonl` anything.
        text: Whether it is a line of plain text, the only cell.
    """

    file: str
    line: int
    cells: dict[str, Any]
    text: bool = False

    def place(self, *_: str | int) -> Place:
        """The row; where in it a column stands is said by its name."""
        return Place(self.file, self.line)

    key_place = place

    def name(self, *path: str | int) -> str:
        """The column, and what of it."""
        column, *rest = path
        return f"column {column}" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)


def read(path: Path, shown: str) -> Iterator[Row | Unreadable]:
    """The rows of a file, in order, and in place of one that is broken what is wrong with it.

    What makes the rest of the file unreadable comes last.
    """
    try:
        with files.opened(path, shown, MOST_BYTES) as file:
            lines = _lines(file, shown)
            match path.suffix.lower():
                case ".csv":
                    yield from _csv(lines, shown)
                case ".jsonl":
                    yield from _jsonl(lines, shown)
                case _:
                    yield from _txt(lines, shown)
    except Unreadable as error:
        yield error


def _lines(file: BinaryIO, shown: str) -> Iterator[tuple[int, str]]:
    """The lines, with their numbers and their line ends."""
    number = 0
    while data := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(data) > LONGEST_LINE:
            raise Unreadable(Place(shown, number), "the line is longer than 1 MB", "write one row a line")
        yield number, files.decoded(data.removeprefix(files.BOM) if number == 1 else data, shown, number)


def _txt(lines: Iterator[tuple[int, str]], shown: str) -> Iterator[Row]:
    """A prompt a line; blank lines and lines that begin with # are none."""
    for number, line in lines:
        text = line.strip()
        if text and not text.startswith("#"):
            yield Row(shown, number, {"line": text}, text=True)


def _csv(lines: Iterator[tuple[int, str]], shown: str) -> Iterator[Row | Unreadable]:
    reader = csv.reader((line for _, line in lines), strict=True)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            cure = 'put cells with commas, quotes or line breaks in "quotes", and write "" for a quote'
            raise Unreadable(Place(shown, line), f"it is no valid CSV: {error}", cure) from None
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = _header(cells, Place(shown, line))
        elif len(cells) == len(header):
            yield Row(shown, line, {name: cell.strip() for name, cell in zip(header, cells, strict=True)})
        else:
            message = f"the row has {len(cells)} cells, the header has {len(header)}"
            yield Unreadable(Place(shown, line), message, 'add or remove commas; a cell with a comma needs "quotes"')
    if header is None:
        raise Unreadable(Place(shown), "the file is empty", "write a header line and a row for each prompt")


def _header(cells: list[str], place: Place) -> list[str]:
    names = [cell.strip() for cell in cells]
    for index, name in enumerate(names):
        if not name:
            raise Unreadable(place, f"column {index + 1} has no name", "name each column in the first line")
        if name in names[:index]:
            raise Unreadable(place, f"two columns are named {name!r}", "give each column a name of its own")
    return names


def _jsonl(lines: Iterator[tuple[int, str]], shown: str) -> Iterator[Row | Unreadable]:
    decoder = json.JSONDecoder(
        object_pairs_hook=_pairs, parse_int=read_scalar, parse_float=read_scalar, parse_constant=_no_number
    )
    for number, line in lines:
        if not line.strip():
            continue
        try:
            cells = decoder.decode(line.rstrip())
        except json.JSONDecodeError as error:
            yield Unreadable(Place(shown, number, error.colno), f"it is no valid JSON: {error.msg}", _JSONL_CURE)
        except (_Refused, RecursionError) as error:
            message = str(error) if isinstance(error, _Refused) else "it is nested too deep"
            yield Unreadable(Place(shown, number), message, _JSONL_CURE)
        else:
            if isinstance(cells, dict):
                yield Row(shown, number, cells)
            else:
                yield Unreadable(Place(shown, number), "the line is no mapping", _JSONL_CURE)


_JSONL_CURE = 'write one {"column": "value", …} a line'


class _Refused(Exception):
    """JSON that Python would read and nobody can have meant."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise _Refused(f"{twice!r} is written twice")
    return found


def _no_number(word: str) -> Any:
    raise _Refused(f"{word} is no number")
