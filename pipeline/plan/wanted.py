"""What a job wants: its items, written down once while the job is read, and read from here ever after.

A job is planned from the bytes that were read and from nothing else: whatever becomes of the job file and of its lists
meanwhile, the count, the work and the manifest of a run are about the same items. They lie in a scratch database of
SQLite's own, which stays in memory while a job is small, spills into a temporary file when it is long, and is gone with
the job.
"""

import json
import sqlite3
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import StorageFailed
from pipeline.model import Item, Place

AT_ONCE = 500
"""Items that are written, or read, in one go."""

_CACHE_KIB = 4096
"""Memory that the scratch database may take; the rest of a long job lies on the disk."""

_TABLES = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -{_CACHE_KIB};
CREATE TABLE wanted (
    seq INTEGER PRIMARY KEY, key TEXT, id TEXT, prompt TEXT, model TEXT, aspect_ratio TEXT, seed INTEGER,
    parameters TEXT, count INTEGER, sandbox INTEGER, file TEXT, line INTEGER, "column" INTEGER
);
CREATE TABLE work (seq INTEGER PRIMARY KEY, steps TEXT NOT NULL);
CREATE TABLE urgent (until REAL NOT NULL, seq INTEGER NOT NULL, step TEXT NOT NULL);
"""

_COLUMNS = 'key, id, prompt, model, aspect_ratio, seed, parameters, count, sandbox, file, line, "column"'


class WantedItems:
    """The items of one job, in its order, each with its number from 1 on; and what a plan leaves to do about them.

    Raises:
        StorageFailed: From every method: the disk for temporary files is full, or can't be written.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        # A job is a value that nobody closes: its scratch database goes with it.
        weakref.finalize(self, self._db.close)
        self._db.executescript(_TABLES)
        self._new: list[tuple[Any, ...]] = []
        self._parameters = _Parameters()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Item]:
        return (item for _, item in self.numbered())

    def add(self, item: Item) -> None:
        """Put an item at the end."""
        self._count += 1
        place = item.place
        self._new.append(
            (
                item.key, item.id, item.prompt, item.model, item.aspect_ratio, item.seed,
                self._parameters.text(item.parameters), item.count, item.sandbox, place.file, place.line, place.column,
            )
        )  # fmt: skip
        if len(self._new) >= AT_ONCE:
            self._flush()

    def numbered(self) -> Iterator[tuple[int, Item]]:
        """Each item with its number."""
        self._flush()
        last = 0
        while rows := self._read(
            f"SELECT seq, {_COLUMNS} FROM wanted WHERE seq > ? ORDER BY seq LIMIT {AT_ONCE}", (last,)
        ):
            for seq, *columns in rows:
                yield seq, self._item(columns)
            last = rows[-1][0]

    # The plan.

    def clear_work(self) -> None:
        """Forget what an earlier plan left to do."""
        self._write("DELETE FROM work", [()])
        self._write("DELETE FROM urgent", [()])

    def add_work(self, rows: list[tuple[int, str]]) -> None:
        """Write down what is to be done: the number of each item, and its steps as JSON text."""
        self._write("INSERT INTO work (seq, steps) VALUES (?, ?)", rows)

    def add_urgent(self, rows: list[tuple[float, int, str]]) -> None:
        """The same of a step that must be taken before a moment, in seconds since the epoch."""
        self._write("INSERT INTO urgent (until, seq, step) VALUES (?, ?, ?)", rows)

    def urgent(self) -> Iterator[tuple[Item, str]]:
        """The steps that have an end, the soonest first."""
        query = f"SELECT step, {_COLUMNS} FROM urgent JOIN wanted USING (seq) ORDER BY until, urgent.rowid"
        for step, *columns in self._read(query, ()):
            yield self._item(columns), step

    def work(self) -> Iterator[tuple[Item, str]]:
        """What is to be done, in the job's order."""
        last = 0
        joined = f"SELECT seq, steps, {_COLUMNS} FROM work JOIN wanted USING (seq)"
        query = f"{joined} WHERE seq > ? ORDER BY seq LIMIT {AT_ONCE}"
        while rows := self._read(query, (last,)):
            for _, steps, *columns in rows:
                yield self._item(columns), steps
            last = rows[-1][0]

    def _item(self, columns: list[Any]) -> Item:
        key, id_, prompt, model, ratio, seed, parameters, count, sandbox, file, line, column = columns
        return Item(
            key, id_, prompt, model, ratio, seed, self._parameters.mapping(parameters), count, bool(sandbox),
            Place(file, line, column),
        )  # fmt: skip

    def _flush(self) -> None:
        if self._new:
            rows, self._new = self._new, []
            self._write(f"INSERT INTO wanted ({_COLUMNS}) VALUES ({', '.join('?' * 12)})", rows)

    def _write(self, statement: str, rows: list[Any]) -> None:
        try:
            self._db.execute("BEGIN")
            self._db.executemany(statement, rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise _failed(error) from None

    def _read(self, query: str, parameters: tuple[Any, ...]) -> list[Any]:
        try:
            return self._db.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise _failed(error) from None


class _Parameters:
    """The parameters of items as text and back. Neighbours nearly always share them: each is converted once."""

    def __init__(self) -> None:
        self._last: Mapping[str, Any] = {}
        self._last_text: str | None = None
        self._read: Mapping[str, Any] = {}
        self._read_text: str | None = None

    def text(self, parameters: Mapping[str, Any]) -> str | None:
        if parameters is not self._last:
            self._last, self._last_text = parameters, json.dumps(dict(parameters)) if parameters else None
        return self._last_text

    def mapping(self, text: str | None) -> Mapping[str, Any]:
        if text != self._read_text:
            self._read_text, self._read = text, json.loads(text) if text else {}
        return self._read


def _failed(error: sqlite3.Error) -> StorageFailed:
    return StorageFailed(
        f"the job's items can't be kept in a temporary file: {error}; free some space there, or set TMPDIR to a folder "
        "with room"
    )
