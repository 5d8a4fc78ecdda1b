"""The statements in SQL that several of the ledger's writers share."""

from pipeline.ledger.rows import LARGE_ANSWER, ImageRow, Recipe, Statement, columns, image_values, marks
from pipeline.model import Item

_INSERT_IMAGE = f"INSERT OR REPLACE INTO images ({columns(ImageRow)}) VALUES ({marks(ImageRow)})"
_INSERT_RECIPE = f"INSERT OR REPLACE INTO recipes ({columns(Recipe)}) VALUES ({marks(Recipe)})"

NO_LONGER_MAYBE = """
UPDATE images SET
    cause = CASE WHEN EXISTS (
            SELECT 1 FROM attempts AS a, json_each(a.indexes) AS asked
            WHERE a.key = images.key AND asked.value = images.idx AND a.state = 'lost'
        ) THEN 'lost' ELSE 'unavailable' END,
    error = coalesce(error || '; ', '') || 'since then: ' || ?
WHERE cause = 'maybe-billed' AND state = 'failed' AND key = (SELECT key FROM attempts WHERE id = ?)
    AND NOT EXISTS (
        SELECT 1 FROM attempts AS a, json_each(a.indexes) AS asked
        WHERE a.key = images.key AND asked.value = images.idx AND a.state IN ('intent', 'maybe')
    )
"""
"""An image of whose attempts none is in doubt any more is lost, or free to be asked for again."""


PART = 1024 * 1024
"""Bytes of a large answer that are stored at once: SQLite copies what it stores, twice."""


def answer(attempt: str, body: bytes | bytearray | None) -> tuple[bytes | bytearray | None, tuple[Statement, ...]]:
    """What to write into an attempt's row for its answer, and what to write besides."""
    if body is None or len(body) <= LARGE_ANSWER:
        return body, ()
    insert = "INSERT OR REPLACE INTO answers (attempt, part, body) VALUES (?, ?, ?)"
    parts = range(0, len(body), PART)
    return None, tuple((insert, (attempt, at // PART, memoryview(body)[at : at + PART])) for at in parts)


def lost(attempt: str, at: str, error: str, run: str | None) -> Statement:
    """A paid answer can't be read, as `run` has found."""
    return (
        "UPDATE attempts SET state = 'lost', settled_at = ?, error = ?, settled_by = ? WHERE id = ?",
        (at, error, run, attempt),
    )


def image(row: ImageRow) -> Statement:
    """What became of an image."""
    return _INSERT_IMAGE, image_values(row)


def take(row: ImageRow, state: str) -> tuple[Statement, ...]:
    """What became of one picture of the answer it came in, and how many of them can't be had any more."""
    if row.attempt is None:
        return ()
    return (
        (
            "INSERT OR REPLACE INTO takes (attempt, idx, key, state, created_at, path, sha256, bytes) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (row.attempt, row.idx, row.key, state, row.created_at, row.path, row.sha256, row.bytes),
        ),
        (
            "UPDATE attempts SET lost = (SELECT count(*) FROM takes WHERE attempt = attempts.id "
            "AND takes.state = 'lost') WHERE id = ?",
            (row.attempt,),
        ),
    )


def move(row: ImageRow, path: str, mtime_ns: int | None) -> Statement:
    """A saved image is at another path."""
    return "UPDATE images SET path = ?, mtime_ns = ? WHERE key = ? AND idx = ?", (path, mtime_ns, row.key, row.idx)


def recipe(item: Item) -> Statement:
    """What an item was made from."""
    return _INSERT_RECIPE, (item.id, item.key, item.prompt, item.aspect_ratio, item.seed)
