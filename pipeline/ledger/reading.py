"""What the ledger says. Reading needs no lock, and may go on while a run writes."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.errors import StorageFailed
from pipeline.ledger.rows import SCHEMA, VERSION, Attempt, ImageRow, Recipe, columns
from pipeline.model import Item

_ATTEMPT = columns(Attempt)
_WITHOUT_ANSWER = _ATTEMPT.replace("answer", "NULL AS answer")
_IMAGE = columns(ImageRow)
_RECIPE = columns(Recipe)


class LedgerReader:
    """The ledger of one output folder, to look things up in. A context manager.

    Where there is no ledger yet it reads as an empty one, and none is made.

    Raises:
        StorageFailed: The file can't be opened, is no ledger, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._reader = connect(path, "ro") if path.exists() else connect(None, "rwc")
        except (sqlite3.Error, OSError) as error:
            raise storage_failed(path, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def images(self, key: str) -> dict[int, ImageRow]:
        """What became of this key's images, by index."""
        rows = self._read(f"SELECT {_IMAGE} FROM images WHERE key = ?", (key,))
        return {row[1]: ImageRow(*row) for row in rows}

    def attempts(self, key: str, *, answers: bool = True) -> list[Attempt]:
        """Every attempt made for this key, oldest first; without their `answers`, which may be large, on request."""
        chosen = _ATTEMPT if answers else _WITHOUT_ANSWER
        query = f"SELECT {chosen} FROM attempts WHERE key = ? ORDER BY seq"
        return [_attempt(row) for row in self._read(query, (key,))]

    def unread(self) -> list[Attempt]:
        """Paid attempts of runs that were killed before they could write down what the answer holds."""
        query = f"SELECT {_ATTEMPT} FROM attempts WHERE state = 'paid' AND delivered IS NULL AND answer IS NOT NULL"
        return [_attempt(row) for row in self._read(query, ())]

    def maybe_billed(self) -> list[Attempt]:
        """The attempts that may have been billed without an answer and that no run has reported yet, oldest first."""
        query = (
            f"SELECT {_ATTEMPT} FROM attempts WHERE state = 'maybe' "
            "AND run IN (SELECT id FROM runs WHERE ended_at IS NULL) ORDER BY seq"
        )
        return [_attempt(row) for row in self._read(query, ())]

    def ever_maybe_billed(self) -> list[Attempt]:
        """Every attempt of any run that may have been billed without an answer, oldest first."""
        query = f"SELECT {_WITHOUT_ANSWER} FROM attempts WHERE state = 'maybe' ORDER BY seq"
        return [_attempt(row) for row in self._read(query, ())]

    def killed_runs(self) -> int:
        """How many runs began and never came to their end."""
        (found,) = self._read("SELECT count(*) FROM runs WHERE ended_at IS NULL", ())[0]
        return int(found)

    def recipe(self, item: Item) -> Recipe | None:
        """What this item was made from last: under its id, or else for the same prompt, ratio and seed."""
        rows = self._read(f"SELECT {_RECIPE} FROM recipes WHERE item = ?", (item.id,)) or self._read(
            f"SELECT {_RECIPE} FROM recipes WHERE prompt = ? AND aspect_ratio IS ? AND seed IS ? LIMIT 1",
            (item.prompt, item.aspect_ratio, item.seed),
        )
        return Recipe(*rows[0]) if rows else None

    def at_path(self, path: str) -> list[ImageRow]:
        """The saved images that the ledger believes to be at this path."""
        return [ImageRow(*row) for row in self._read(f"SELECT {_IMAGE} FROM images WHERE path = ?", (path,))]

    def saved_images(self) -> Iterator[ImageRow]:
        """Every saved image, by key and index."""
        query = f"SELECT {_IMAGE} FROM images WHERE state = 'saved' ORDER BY key, idx"
        try:
            with closing(self._reader.execute(query)) as cursor:
                for row in cursor:
                    yield ImageRow(*row)
        except sqlite3.Error as error:
            raise storage_failed(self.path, error) from None

    def totals(self) -> tuple[int, int, float]:
        """Attempts, tokens and USD over all runs of this folder."""
        query = "SELECT count(*), coalesce(sum(tokens), 0), coalesce(sum(usd), 0.0) FROM attempts"
        attempts, tokens, usd = self._read(query, ())[0]
        return attempts, tokens, usd

    def _read(self, query: str, parameters: Sequence[Any]) -> list[Any]:
        try:
            return self._reader.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise storage_failed(self.path, error) from None


def connect(path: Path | None, mode: str) -> sqlite3.Connection:
    """A connection to the ledger at `path` (None: in memory), its tables made where they are missing.

    Raises:
        sqlite3.Error: SQLite can't open it.
        StorageFailed: It was written by a newer version of this program, or by another one.
    """
    name = f"{path.absolute().as_uri()}?mode={mode}" if path else ":memory:"
    connection = sqlite3.connect(name, uri=path is not None, check_same_thread=False, isolation_level=None)
    try:
        connection.execute("PRAGMA busy_timeout = 5000")
        # In one statement: a run may be making the tables right now.
        state = "SELECT user_version, (SELECT count(*) FROM sqlite_master) FROM pragma_user_version"
        version, tables = connection.execute(state).fetchone()
        if version > VERSION:
            raise StorageFailed(f"{path} was written by a newer version of this program; update it to go on")
        if version == 0 and tables:
            raise StorageFailed(f"{path} is a database, but no ledger of this program; move it away")
        if version == 0 and mode == "ro":
            # Its first run was killed before it had made the tables.
            connection.close()
            return connect(None, "rwc")
        if mode == "rwc":
            # FULL: a commit is on the disk when it returns. In WAL mode that is one flush.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        if version == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def storage_failed(path: Path, error: Exception) -> StorageFailed:
    """What SQLite or the operating system said, for people."""
    return StorageFailed(f"the ledger {path} can't be used: {error}; check the disk's space and permissions")


def _attempt(row: Sequence[Any]) -> Attempt:
    known = list(row)
    known[6] = tuple(json.loads(row[6]))
    return Attempt(*known)
