"""What was asked of the sandbox, what it billed, and which pictures it owes: the only truth for tests.

Rows, never lists in memory: tens of thousands of requests cost no memory. A file that is kept lets a later sandbox
serve the pictures, and show the logs, of an earlier one.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import StorageFailed
from sandbox.painter import Painting

GETS_KEPT = 1000
"""Of the GETs the CDN has seen, the latest this many are kept with their headers; all are counted."""

Status = Literal["succeeded", "failed", "refused"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY, created REAL NOT NULL, status TEXT NOT NULL, http_status INTEGER, model TEXT, prompt TEXT,
    credits INTEGER NOT NULL, images INTEGER NOT NULL, inference_id TEXT NOT NULL, client_request_id TEXT);
CREATE INDEX IF NOT EXISTS requests_by_time ON requests (created);
CREATE TABLE IF NOT EXISTS pictures (
    path TEXT PRIMARY KEY, prompt TEXT, seed INTEGER, width INTEGER, height INTEGER, mime_type TEXT, model TEXT,
    ratio TEXT, gets INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gets (id INTEGER PRIMARY KEY, created REAL NOT NULL, path TEXT NOT NULL, headers TEXT);
"""


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request to the API.

    Attributes:
        id: Counts up in the order of arrival.
        created: When it arrived, in seconds since the epoch, on the sandbox's clock.
        status: `succeeded` (accepted and billed), `failed` (accepted, not billed), or `refused` (never accepted: wrong
            key, not valid, rate limit …), which the vendor's own log does not show.
        http_status: What was answered; None while it is being worked on, and when no status line was sent.
        model: The model's id, where one was named.
        prompt: The prompt, where one was given.
        credits: What was billed for it.
        images: Pictures made for it.
        inference_id: Unique, made by the sandbox.
        client_request_id: The client's own label, or None where it sent no valid one.
    """

    id: int
    created: float
    status: Status
    http_status: int | None
    model: str | None
    prompt: str | None
    credits: int
    images: int
    inference_id: str
    client_request_id: str | None


@dataclass(frozen=True, slots=True)
class Get:
    """One GET that the CDN has seen: when, of which path, with which headers (names in lower case)."""

    created: float
    path: str
    headers: Mapping[str, str]


class RequestLog:
    """The requests, the bills and the pictures, in one small SQLite file or in memory.

    It is written without waiting for the disk: a power cut may lose rows, the end of the process does not.

    Raises:
        StorageFailed: The file can't be opened or written.
    """

    def __init__(self, path: Path | None = None) -> None:
        try:
            self._db = _opened(path)
            # Kept at hand: it is asked for with every request, and a sum over all rows takes ever longer.
            self._billed = self._number("coalesce(sum(credits), 0)", "requests", {})
        except (OSError, sqlite3.Error) as error:
            raise StorageFailed(f"{path}: the sandbox can't keep its books there: {error}") from None

    def close(self) -> None:
        """Close the file. Further calls fail."""
        self._db.close()

    # Written by the sandbox.

    def enter(
        self,
        *,
        created: float,
        status: Status,
        model: str | None,
        prompt: str | None,
        credits_: int = 0,
        images: int = 0,
        inference_id: str,
        client_request_id: str | None,
    ) -> int:
        """Write a request down when it is accepted or refused, and give its number."""
        cursor = self._db.execute(
            "INSERT INTO requests (created, status, model, prompt, credits, images, inference_id, client_request_id) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (created, status, model, _storable(prompt), credits_, images, inference_id, client_request_id),
        )
        self._billed += credits_
        return cursor.lastrowid or 0

    def answered(self, number: int, http_status: int) -> None:
        """Note the status that a request was answered with."""
        self._db.execute("UPDATE requests SET http_status = ? WHERE id = ?", (http_status, number))

    def owe(self, pictures: Iterable[tuple[str, Painting]]) -> None:
        """Remember what is to be painted when a path is asked for."""
        self._db.executemany(
            "INSERT INTO pictures (path, prompt, seed, width, height, mime_type, model, ratio, label) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (path, _storable(p.prompt), p.seed, p.width, p.height, p.mime_type, p.model, p.ratio, p.label)
                for path, p in pictures
            ],
        )

    def picture(self, path: str) -> Painting | None:
        """What is to be painted for a path, or None when the path was never handed out."""
        row = self._db.execute(
            "SELECT prompt, seed, width, height, mime_type, model, ratio, label FROM pictures WHERE path = ?", (path,)
        ).fetchone()
        return Painting(*row) if row else None

    def got(self, created: float, path: str, headers: Mapping[str, str]) -> None:
        """Note a GET of a path."""
        self._db.execute("UPDATE pictures SET gets = gets + 1 WHERE path = ?", (path,))
        cursor = self._db.execute(
            "INSERT INTO gets (created, path, headers) VALUES (?, ?, ?)",
            (created, path, json.dumps({name.lower(): value for name, value in headers.items()})),
        )
        self._db.execute("DELETE FROM gets WHERE id <= ?", ((cursor.lastrowid or 0) - GETS_KEPT,))

    # Read by tests, and by what the sandbox says about itself.

    def requests(self, **where: Any) -> list[LoggedRequest]:
        """All requests in the order they arrived; `where` are columns and the values they must have."""
        return [LoggedRequest(*row) for row in self._select(_COLUMNS, "requests", where, "ORDER BY id")]

    def count(self, **where: Any) -> int:
        """How many requests there were: `count(status="succeeded", prompt="A fox")`."""
        return self._number("count(*)", "requests", where)

    def billed_credits(self) -> int:
        """Credits billed in all."""
        return self._billed

    def page(
        self, start: float, end: float, *, limit: int, offset: int = 0, before: int | None = None, **where: Any
    ) -> list[LoggedRequest]:
        """A page of the requests that arrived from `start` until before `end`, newest first.

        `before` leaves out the requests with this number and above; a list as a value means any of its members.
        """
        where |= {"created >= ?": start, "created < ?": end}
        if before is not None:
            where["id < ?"] = before
        rows = self._select(_COLUMNS, "requests", where, "ORDER BY id DESC LIMIT ? OFFSET ?", limit, offset)
        return [LoggedRequest(*row) for row in rows]

    def count_between(self, start: float, end: float, **where: Any) -> int:
        """How many requests arrived from `start` until before `end`."""
        return self.count(**where, **{"created >= ?": start, "created < ?": end})

    def gets(self, path: str | None = None) -> int:
        """How often the CDN was asked for a path, or for pictures in all."""
        return self._number("coalesce(sum(gets), 0)", "pictures", {} if path is None else {"path": path})

    def last_gets(self, path: str | None = None) -> list[Get]:
        """The latest GETs that the CDN has seen, oldest first, of one path or of all; at most `GETS_KEPT`."""
        rows = self._select("created, path, headers", "gets", {} if path is None else {"path": path}, "ORDER BY id")
        return [Get(created, name, json.loads(headers)) for created, name, headers in rows]

    def _number(self, what: str, table: str, where: Mapping[str, Any]) -> int:
        return int(self._select(what, table, where)[0][0])

    def _select(self, what: str, table: str, where: Mapping[str, Any], tail: str = "", *more: Any) -> list[Any]:
        """The rows for which all of `where` holds: of a column its value, of a comparison its operand."""
        tests: list[str] = ["1"]
        values: list[Any] = []
        for name, value in where.items():
            if isinstance(value, list):
                tests.append(f"{name} IN ({', '.join('?' * len(value))})")
                values += value
            else:
                tests.append(name if "?" in name else f"{name} IS ?")
                values.append(value)
        # Names of columns come from this package and from tests, values are bound.
        query = f"SELECT {what} FROM {table} WHERE {' AND '.join(tests)} {tail}"  # noqa: S608
        return self._db.execute(query, [*values, *more]).fetchall()


_COLUMNS = ", ".join(LoggedRequest.__slots__)


def _opened(path: Path | None) -> sqlite3.Connection:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = OFF")
        db.executescript(_SCHEMA)
        if "label" not in [column[1] for column in db.execute("PRAGMA table_info(pictures)")]:
            # A log from before pictures had one.
            db.execute("ALTER TABLE pictures ADD COLUMN label TEXT NOT NULL DEFAULT ''")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _storable(text: str | None) -> str | None:
    """The text without lone surrogates, which SQLite refuses."""
    return None if text is None else text.encode("utf-8", "replace").decode()
