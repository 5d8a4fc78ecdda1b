"""What the ledger says. Reading needs no lock, and may go on while a run writes."""

import itertools
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import starmap
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.errors import StorageFailed
from pipeline.ledger.billing import ATTEMPT, BillingReader, attempt_of
from pipeline.ledger.refusals import ELSEWHERE, REFUSALS, storage_failed
from pipeline.ledger.rows import MIGRATIONS, SCHEMA, VERSION, Attempt, ImageRow, Known, Recipe, columns
from pipeline.model import Item
from pipeline.regular_files import open_regular, refuse_other

_IMAGE = columns(ImageRow)
_RECIPE = columns(Recipe)

AT_ONCE = 500
"""Items that the ledger is asked about in one query."""


class LedgerReader(BillingReader):
    """The ledger of one output folder, to look things up in. A context manager.

    Where there is no ledger yet it reads as an empty one, and none is made.

    Raises:
        StorageFailed: The file can't be opened, is no ledger, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._reader = connect(path, "ro") if path.exists() else connect(None, "rwc")
        except (*REFUSALS, OSError) as error:
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

    def of_items(self, items: Iterable[Item]) -> Iterator[tuple[Item, Known]]:
        """Each item with what is known of it; looked up for many items at a time.

        What is written meanwhile may be missing.
        """
        rest = iter(items)
        while some := list(itertools.islice(rest, AT_ONCE)):
            keys = [item.key for item in some]
            images: dict[str, dict[int, ImageRow]] = {}
            for row in self._read(f"SELECT {_IMAGE} FROM images WHERE key IN ({_marks(keys)})", keys):
                images.setdefault(row[0], {})[row[1]] = ImageRow(*row)
            attempts: dict[str, list[Attempt]] = {}
            for attempt in self._without_answers(f"key IN ({_marks(keys)}) ORDER BY seq", *keys):
                attempts.setdefault(attempt.key, []).append(attempt)
            recipes = self._recipes([item for item in some if len(images.get(item.key, ())) < item.count])
            for item in some:
                yield item, Known(images.get(item.key, {}), attempts.get(item.key, ()), recipes.get(item.id))

    def attempts(self, key: str, *, answers: bool = True) -> list[Attempt]:
        """Every attempt made for this key, oldest first; without their `answers`, which may be large, on request."""
        query = f"SELECT {ATTEMPT} FROM attempts WHERE key = ? ORDER BY seq"
        found = [attempt_of(row) for row in self._read(query, (key,))]
        return [self._whole(attempt) for attempt in found] if answers else found

    def unread(self) -> Iterator[Attempt]:
        """Paid attempts of runs that were killed before they could write down what the answer holds."""
        query = f"SELECT {ATTEMPT} FROM attempts WHERE state = 'paid' AND delivered IS NULL"
        return (self._whole(attempt_of(row)) for row in self._read(query, ()))

    def last_run(self) -> str | None:
        """When the newest run began, or None where there was none."""
        (found,) = self._read("SELECT max(started_at) FROM runs", ())[0]
        return None if found is None else str(found)

    def output(self) -> str | None:
        """The output folder that this ledger was told it belongs to; None for the one that it lies in."""
        rows = self._read("SELECT output FROM folder", ())
        return rows[0][0] if rows else None

    def mean_bytes(self) -> float | None:
        """Bytes that a saved image has on average, or None where there is none."""
        (found,) = self._read("SELECT avg(bytes) FROM images WHERE state = 'saved'", ())[0]
        return None if found is None else float(found)

    def killed_runs(self) -> int:
        """How many runs began and never came to their end."""
        (found,) = self._read("SELECT count(*) FROM runs WHERE ended_at IS NULL", ())[0]
        return int(found)

    def known(self, item: Item) -> Known:
        """What is known of one item, with the answers to its attempts."""
        return Known(self.images(item.key), self.attempts(item.key), self.recipe(item))

    def recipe(self, item: Item) -> Recipe | None:
        """What this item was made from last: under its id, or else for the same prompt, ratio and seed."""
        return self._recipes([item]).get(item.id)

    def _recipes(self, items: Sequence[Item]) -> dict[str, Recipe]:
        """The recipe of each item that has one, by its id."""
        ids = [item.id for item in items]
        rows = self._read(f"SELECT {_RECIPE} FROM recipes WHERE item IN ({_marks(ids)})", ids)
        found = {recipe.item: recipe for recipe in starmap(Recipe, rows)}
        rest = [item for item in items if item.id not in found]
        prompts = [item.prompt for item in rest]
        rows = self._read(f"SELECT {_RECIPE} FROM recipes WHERE prompt IN ({_marks(prompts)})", prompts)
        alike = {(recipe.prompt, recipe.aspect_ratio, recipe.seed): recipe for recipe in starmap(Recipe, rows)}
        for item in rest:
            if recipe := alike.get((item.prompt, item.aspect_ratio, item.seed)):
                found[item.id] = recipe
        return found

    def in_sandbox(self, key: str) -> bool:
        """Whether this key's pictures were made by a sandbox that a run had started for itself."""
        query = "SELECT 1 FROM attempts JOIN runs ON runs.id = run WHERE key = ? AND base = 'sandbox' LIMIT 1"
        return bool(self._read(query, (key,)))

    def at_path(self, path: str) -> list[ImageRow]:
        """The saved images that the ledger believes to be at this path."""
        return [ImageRow(*row) for row in self._read(f"SELECT {_IMAGE} FROM images WHERE path = ?", (path,))]

    def stamped(self) -> str | None:
        """What the last run has left, if it ended with nothing more to do and none has begun since."""
        rows = self._read("SELECT facts FROM stamp", ())
        return rows[0][0] if rows else None

    def saved_files(self) -> Iterator[tuple[str, int, int | None]]:
        """Path, bytes and time of modification of every saved file in the output folder."""
        query = "SELECT path, bytes, mtime_ns FROM images WHERE state = 'saved' AND path NOT LIKE '.pipeline/%'"
        return self._stream(query)

    def saved_images(self) -> Iterator[ImageRow]:
        """Every saved image, by key and index."""
        query = f"SELECT {_IMAGE} FROM images WHERE state = 'saved' ORDER BY key, idx"
        return (ImageRow(*row) for row in self._stream(query))

    def totals(self) -> tuple[int, int, float]:
        """Attempts, tokens and USD over all runs of this folder."""
        query = "SELECT count(*), coalesce(sum(tokens), 0), coalesce(sum(usd), 0.0) FROM attempts"
        attempts, tokens, usd = self._read(query, ())[0]
        return attempts, tokens, usd


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


def connect(path: Path | None, mode: str) -> sqlite3.Connection:
    """A connection to the ledger at `path` (None: in memory), its tables made where they are missing.

    Raises:
        sqlite3.Error: SQLite can't open it.
        StorageFailed: It was written by a newer version of this program, or by another one; or something that is
            not a file has its name, or that of a file which SQLite keeps beside it.
    """
    if path is not None:
        _require_files(path)
        if mode == "rwc":
            _make_private(path)
    connection, version, tables = _opened(path, mode)
    try:
        if not 0 <= version <= VERSION:
            raise StorageFailed(f"{path} was written by a newer version of this program; update it to go on")
        if version == 0 and tables:
            raise StorageFailed(f"{path} is a database, but no ledger of this program; move it away")
        if version < VERSION and mode == "ro":
            # Its first run was killed before it had made the tables, or the next run will bring them up to date.
            connection = _in_memory(connection, version)
        if mode == "rwc":
            _make_durable(connection, path)
        _bring_up_to_date(connection, version)
    except BaseException:
        connection.close()
        raise
    return connection


def _opened(path: Path | None, mode: str) -> tuple[sqlite3.Connection, int, int]:
    """A connection, the version of what is there, and the number of its tables and indexes."""
    if path is None:
        return _looked_into(":memory:")
    name = f"{path.absolute().as_uri()}?mode={mode}"
    try:
        return _looked_into(name)
    except sqlite3.OperationalError:
        if mode != "ro" or _is_filled(path.with_name(f"{path.name}-wal")):
            raise
        # To read, SQLite makes a file beside it, which a read-only or a full disk has no place for. Where nothing has
        # been left in the log, all there is stands in the ledger itself, and nobody writes to it.
        return _looked_into(f"{name}&immutable=1")


def _is_filled(path: Path) -> bool:
    """Whether there is a file, and something in it."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _looked_into(name: str) -> tuple[sqlite3.Connection, int, int]:
    connection = sqlite3.connect(name, uri=name != ":memory:", check_same_thread=False, isolation_level=None)
    try:
        connection.execute("PRAGMA busy_timeout = 5000")
        # In one statement: a run may be making the tables right now.
        state = "SELECT user_version, (SELECT count(*) FROM sqlite_master) FROM pragma_user_version"
        version, tables = connection.execute(state).fetchone()
    except BaseException:
        connection.close()
        raise
    return connection, version, tables


def _require_files(path: Path) -> None:
    """Make sure that SQLite will find files: it would wait for the other end of a pipe, and follow a link.

    Raises:
        StorageFailed: Something else has the name of the ledger or of a file that SQLite keeps beside it.
    """
    try:
        for beside in ("", "-wal", "-shm", "-journal"):
            refuse_other(f"{path}{beside}")
    except OSError as error:
        raise storage_failed(path, error) from None


def _make_private(path: Path) -> None:
    """Make the file where it is missing, for its owner alone, as SQLite then makes the files beside it.

    Raises:
        StorageFailed: The disk refused, or something else has its name.
    """
    try:
        os.close(open_regular(path, os.O_RDWR | os.O_CREAT))
    except OSError as error:
        raise storage_failed(path, error) from None


def _in_memory(connection: sqlite3.Connection, version: int) -> sqlite3.Connection:
    """A copy that may be changed; of a database without tables an empty one."""
    with closing(connection):
        copy = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        if version:
            connection.backup(copy)
    return copy


def _make_durable(connection: sqlite3.Connection, path: Path | None) -> None:
    """Let a commit be on the disk when it returns, by one flush.

    Raises:
        StorageFailed: The file system can't share memory between processes, as WAL needs.
    """
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if path is not None and mode != "wal":
        raise StorageFailed(
            f"the file system of {path} can't hold the ledger (no shared memory for SQLite); {ELSEWHERE}"
        )
    connection.execute("PRAGMA synchronous = FULL")


def _bring_up_to_date(connection: sqlite3.Connection, version: int) -> None:
    if version == VERSION:
        return
    steps = [MIGRATIONS[number] for number in range(version, VERSION)] if version else [SCHEMA]
    connection.executescript(f"BEGIN IMMEDIATE; {' '.join(steps)} PRAGMA user_version = {VERSION}; COMMIT;")


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that the tables and their indexes say the same, before anything is paid for on their word.

    Raises:
        StorageFailed: They do not.
    """
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        why = " ".join(found.split())
        raise StorageFailed(
            f"the ledger {path} is damaged ({why}): bring it back from a copy, or move it and the manifest away to "
            "pay for everything anew"
        )
