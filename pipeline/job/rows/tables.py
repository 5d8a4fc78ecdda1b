"""The rows of a table with columns: CSV as Excel and its kind write it.

The header line decides what separates the columns: a comma, a semicolon or a tab; `sep=;` above it says so outright.
Python's `csv` splits the cells. It is told to be strict, and what it refuses is named here in words of our own.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from pipeline.job.files import Unreadable
from pipeline.job.rows.row import Row
from pipeline.model import Place

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_SEP = re.compile(r'"?sep=([^\w\s"]|\t)"?\s*', re.IGNORECASE)
_LONGEST_CELL = 100_000
"""Characters a cell may have; Python's own limit is a little above it."""


@dataclass(slots=True)
class _Lines:
    """The lines that the reader has taken so far.

    Attributes:
        number: The last one's number.
        ended: Whether there are no more.
        longest: Characters of the longest one since this was reset.
    """

    source: Iterator[tuple[int, str]]
    number: int = 0
    ended: bool = False
    longest: int = 0

    def __iter__(self) -> Iterator[str]:
        for number, line in self.source:
            self.number = number
            if len(line) > self.longest:
                self.longest = len(line)
            yield line
        self.ended = True


def read(source: Iterator[tuple[int, str]], shown: str) -> Iterator[Row | Unreadable]:
    """The rows below the header; a row that does not fit it is told of in its place.

    Raises:
        Unreadable: The table has no header, or its quotes leave open where the next row begins.
    """
    taken = _Lines(source)
    lines = iter(taken)
    first, separator = _first(taken, lines, shown)
    reader = csv.reader(chain([first], lines), delimiter=separator, skipinitialspace=True, strict=True)
    rows = _cells(reader, taken, shown)
    top, cells = next(rows)
    header = _Header(shown, top, separator, cells)
    width, names, told = len(header.names), header.names, header.told
    for line, cells in rows:
        if header.loose or len(cells) != width:
            yield header.row(line, cells)
        elif cells[0].strip().casefold() in told and header.repeated(cells):
            yield header.again(line)
        else:
            yield Row(shown, line, {name: cell.strip() for name, cell in zip(names, cells, strict=True)}, False, top)


def _first(taken: _Lines, lines: Iterator[str], shown: str) -> tuple[str, str]:
    """The first line with anything in it, and what separates the columns."""
    written = None
    for line in lines:
        if not line.strip():
            continue
        if written is None and (match := _SEP.fullmatch(line)):
            written = match[1]
            continue
        return line, written or _separator(line, Place(shown, taken.number))
    raise Unreadable(Place(shown), "the file is empty", "write a header line and a row for each prompt")


def _separator(header: str, place: Place) -> str:
    bare = _QUOTED.sub("", header)
    counts = {sign: bare.count(sign) for sign in _SEPARATORS}
    most = max(counts, key=lambda sign: counts[sign])
    if not counts[most] and "|" in bare:
        raise Unreadable(place, "the columns are separated by |", "save it with commas, or write sep=| above")
    return most if counts[most] else ","


def _cells(reader: Iterator[list[str]], taken: _Lines, shown: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row that is not empty, and the line on which it begins."""
    line = taken.number
    while True:
        taken.longest = 0
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise Unreadable(Place(shown, line), *_broken(taken, line)) from None
        if any(cell.strip() for cell in cells):
            yield line, cells
        line = taken.number + 1


def _broken(taken: _Lines, line: int) -> tuple[str, str]:
    """Why a row is no CSV, and the cure."""
    if taken.longest > _LONGEST_CELL:
        return "not valid CSV: a cell is too long", f"write at most {_LONGEST_CELL:,} characters into one cell"
    if taken.ended or taken.number > line:
        return (
            "not valid CSV: a quote that opens in this row is not closed",
            'close it, or write "" for a quote in a cell',
        )
    cure = 'put the whole cell in "quotes", and write "" for a quote in it'
    return "not valid CSV: something follows the quote that closes a cell", cure


@dataclass(slots=True)
class _Header:
    """The first row, by which the others are read.

    Attributes:
        line: Where it stands.
        cells: The names as they were written.
        names: The names; empty for a column that has none.
        told: The names in one case.
        loose: Whether there are columns without a name, as spreadsheets leave behind.
    """

    file: str
    line: int
    separator: str
    cells: list[str]
    names: list[str] = field(init=False)
    told: frozenset[str] = field(init=False)
    loose: bool = field(init=False)

    def __post_init__(self) -> None:
        self.names = [cell.strip() for cell in self.cells]
        while self.names and not self.names[-1]:
            self.names.pop()
        self.loose = "" in self.names
        named = [name for name in self.names if name]
        self.told = frozenset(name.casefold() for name in named)
        for index, name in enumerate(named):
            if name in named[:index]:
                message = f"two columns are named {name!r}"
                raise Unreadable(Place(self.file, self.line), message, "give each column a name of its own")

    def repeated(self, cells: list[str]) -> bool:
        """Whether a row is the header once more."""
        return {cell.strip().casefold() for cell in cells} - {""} == self.told

    def again(self, line: int) -> Unreadable:
        """What to say of such a row."""
        message = f"the header of line {self.line} stands here again, as where files were put together"
        return Unreadable(Place(self.file, line), message, "remove the line")

    def row(self, line: int, cells: list[str]) -> Row | Unreadable:
        """A row whose cells are not simply the header's columns: some have no name, or there are more or fewer.

        Raises:
            Unreadable: A column without a name has a value, which holds for the whole file.
        """
        width = len(self.names)
        cells = [cell.strip() for cell in cells]
        while len(cells) > width and not cells[-1]:
            cells.pop()
        if len(cells) <= len(self.cells):
            for index, cell in enumerate(cells):
                if cell and not (index < width and self.names[index]):
                    message = f"column {index + 1} has no name, and line {line} has {cell[:40]!r} in it"
                    raise Unreadable(Place(self.file, self.line), message, "name the column in this line, or remove it")
        if self.repeated(cells):
            return self.again(line)
        if len(cells) != width:
            signs = _SEPARATORS.get(self.separator, "separators")
            one = "comma" if self.separator == "," else signs.removesuffix("s")
            cure = f'add or remove {signs}; a cell with a {one} in it needs "quotes"'
            message = f"the row has {len(cells)} cells, the header has {width}"
            return Unreadable(Place(self.file, line), message, cure)
        found = {name: cell for name, cell in zip(self.names, cells, strict=True) if name}
        return Row(self.file, line, found, header=self.line)
