"""The rows of the ledger, and the tables they live in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

VERSION = 3
"""Of the tables, kept in SQLite's `user_version`."""

LARGE_ANSWER = 256 * 1024
"""Bytes above which an answer holds pictures rather than URLs: it is kept in a table of its own, for each change of a
row writes all of the row again, and dropped once all of its pictures are files."""

Statement = tuple[str, Sequence[Any]]
"""A statement in SQL, and what its question marks stand for."""

_ATTEMPTS = """
CREATE TABLE attempts (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,                 -- what X-Client-Request-Id says
    run TEXT NOT NULL REFERENCES runs (id),
    key TEXT NOT NULL, item TEXT NOT NULL, model TEXT NOT NULL,
    indexes TEXT NOT NULL,                   -- JSON: the images asked for
    price INTEGER,                           -- tokens, by list price; NULL: unknown
    state TEXT NOT NULL
        CHECK (state IN ('intent', 'rejected', 'maybe', 'unbilled', 'lost', 'accepted', 'paid')),
    created_at TEXT NOT NULL, ended_at TEXT,
    status INTEGER, inference_id TEXT, answer BLOB,
    delivered INTEGER,                       -- pictures in the answer
    tokens INTEGER, usd REAL,                -- what the answer, or the vendor's log, says it cost
    made_by TEXT,                            -- base URL of a sandbox that answered in the real API's place
    error TEXT,
    settled_at TEXT,                         -- when the vendor's log was read for it, or turned out not to be had
    checks INTEGER NOT NULL DEFAULT 0,       -- how often the log has been read for it
    lost INTEGER NOT NULL DEFAULT 0,         -- pictures of the answer that can't be had any more
    skew REAL,                               -- seconds by which the server's clock was ahead of ours; NULL: unknown
    ticket TEXT,                             -- JSON: what an asynchronous API gave to ask for the picture with
    settled_by TEXT,                         -- the run that read the log for it last, or found its answer unreadable
    next_look TEXT                           -- when the log is to be read for it once more; NULL: never
) STRICT;
"""

_INDEXES_OF_2 = """
CREATE INDEX attempts_by_key ON attempts (key);
CREATE INDEX attempts_open ON attempts (seq) WHERE state IN ('intent', 'maybe');
CREATE INDEX attempts_unread ON attempts (seq) WHERE state = 'paid' AND delivered IS NULL;
CREATE INDEX attempts_by_inference ON attempts (inference_id) WHERE inference_id IS NOT NULL;
CREATE INDEX attempts_unbilled ON attempts (seq) WHERE state = 'unbilled';
"""

_INDEXES = _INDEXES_OF_2.replace(
    "CREATE INDEX attempts_unbilled ON attempts (seq) WHERE state = 'unbilled';",
    "CREATE INDEX attempts_to_look_up ON attempts (seq) WHERE next_look IS NOT NULL;",
)

_TAKES = """
CREATE TABLE takes (                         -- every picture of a paid answer that became a file, or never will
    attempt TEXT NOT NULL, idx INTEGER NOT NULL, key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('saved', 'lost')), created_at TEXT NOT NULL,
    path TEXT, sha256 TEXT, bytes INTEGER,
    PRIMARY KEY (attempt, idx)
) STRICT, WITHOUT ROWID;
"""
"""Pictures of a paid answer that have no row here are still to be fetched."""

_ANSWERS = """
CREATE TABLE answers (                       -- large answers in parts, which together are the bytes that came
    attempt TEXT NOT NULL, part INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (attempt, part)
) STRICT;
"""

_FOLDER = """
CREATE TABLE folder (output TEXT NOT NULL) STRICT;  -- whose ledger this is, where it is kept elsewhere
CREATE TABLE stamp (facts TEXT NOT NULL) STRICT;    -- left by a run that ended with nothing more to do; JSON
"""

SCHEMA = f"""
CREATE TABLE runs (
    id TEXT PRIMARY KEY, started_at TEXT NOT NULL, ended_at TEXT, endpoint TEXT NOT NULL, exit_code INTEGER,
    base TEXT                                -- where its requests went: a base URL, or `sandbox`
) STRICT;
CREATE TABLE images (
    key TEXT NOT NULL, idx INTEGER NOT NULL, item TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('saved', 'failed')), created_at TEXT NOT NULL,
    attempts INTEGER NOT NULL, attempt TEXT,
    path TEXT, mime_type TEXT, bytes INTEGER, sha256 TEXT, width INTEGER, height INTEGER, mtime_ns INTEGER,
    url TEXT, revised_prompt TEXT, cause TEXT, error TEXT,
    PRIMARY KEY (key, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX images_by_path ON images (path) WHERE path IS NOT NULL;
CREATE TABLE recipes (
    item TEXT PRIMARY KEY, key TEXT NOT NULL, prompt TEXT NOT NULL, aspect_ratio TEXT, seed INTEGER
) STRICT;
CREATE INDEX recipes_by_prompt ON recipes (prompt);
{_ATTEMPTS}{_INDEXES}{_TAKES}{_ANSWERS}{_FOLDER}"""

_OF_1 = (
    "seq, id, run, key, item, model, indexes, price, state, created_at, ended_at, status, inference_id, answer, "
    "delivered, tokens, usd, made_by, error"
)
"""The columns that attempts had in version 1."""

_OF_2 = f"{_OF_1}, settled_at, checks, lost"
"""The same in version 2."""

_ATTEMPTS_OF_2 = (
    _ATTEMPTS.replace("'accepted', ", "")
    .partition("    skew REAL")[0]
    .replace("lost INTEGER NOT NULL DEFAULT 0,  ", "lost INTEGER NOT NULL DEFAULT 0  ")
    + ") STRICT;\n"
)

_TAKES_OF_2 = """
INSERT INTO takes (attempt, idx, key, state, created_at, path, sha256, bytes)
    SELECT a.id, i.idx, i.key, 'saved', i.created_at, CASE WHEN a.id = i.attempt THEN i.path END,
        CASE WHEN a.id = i.attempt THEN i.sha256 END, CASE WHEN a.id = i.attempt THEN i.bytes END
    FROM attempts AS a, json_each(a.indexes) AS asked JOIN images AS i ON i.key = a.key AND i.idx = asked.value
    WHERE a.state = 'paid' AND asked.key < a.delivered AND (i.state = 'saved' OR i.attempt IS NOT a.id)
        AND i.attempts >= (
            SELECT count(*) FROM attempts AS b, json_each(b.indexes) AS also
            WHERE b.key = a.key AND also.value = i.idx AND b.seq <= a.seq
        );
INSERT INTO takes (attempt, idx, key, state, created_at)
    SELECT attempt, idx, key, 'lost', created_at FROM images
    WHERE state = 'failed' AND cause IN ('lost', 'bad-picture') AND attempt IS NOT NULL;
"""
"""An answer counts as brought home where a row of an image was written after it: its run had time to fetch it."""

MIGRATIONS = {
    1: f"""
ALTER TABLE attempts RENAME TO attempts_1;
{_ATTEMPTS_OF_2}
INSERT INTO attempts ({_OF_1}) SELECT {_OF_1} FROM attempts_1;
DROP TABLE attempts_1;
{_INDEXES_OF_2}{_FOLDER}
ALTER TABLE runs ADD COLUMN base TEXT;
UPDATE runs SET base = CASE endpoint WHEN 'aimlapi' THEN 'https://api.aimlapi.com' ELSE endpoint END;
""",
    2: f"""
ALTER TABLE attempts RENAME TO attempts_2;
{_ATTEMPTS}
INSERT INTO attempts ({_OF_2}) SELECT {_OF_2} FROM attempts_2;
DROP TABLE attempts_2;
{_INDEXES}{_TAKES}{_TAKES_OF_2}{_ANSWERS}
INSERT INTO answers (attempt, part, body) SELECT id, 0, answer FROM attempts WHERE length(answer) > {LARGE_ANSWER};
UPDATE attempts SET answer = NULL WHERE length(answer) > {LARGE_ANSWER};
UPDATE attempts SET next_look = settled_at WHERE settled_at IS NOT NULL AND (state = 'maybe' OR
    (state = 'unbilled' AND checks < 3));
""",
}
"""What makes tables of a version into those of the next one."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST as the ledger knows it; the columns of `attempts` say what each field means."""

    seq: int
    id: str
    run: str
    key: str
    item: str
    model: str
    indexes: tuple[int, ...]
    price: int | None
    state: str
    created_at: str
    inference_id: str | None
    answer: bytes | None
    delivered: int | None
    tokens: int | None
    usd: float | None
    made_by: str | None
    error: str | None
    status: int | None
    settled_at: str | None
    checks: int
    lost: int
    skew: float | None = None
    ticket: str | None = None
    settled_by: str | None = None
    next_look: str | None = None

    @property
    def open(self) -> bool:
        """Whether nobody has yet looked up whether it was billed."""
        return self.state in ("intent", "maybe") and self.settled_at is None

    @property
    def unreadable(self) -> bool:
        """Whether its answer came and can't be read: it is paid for, and no log says more."""
        return self.state == "lost" and self.status in (200, 201)


@dataclass(frozen=True, slots=True)
class ImageRow:
    """What became of one image of an item.

    Attributes:
        state: `saved` or `failed`.
        created_at: When the file was saved, or given up.
        attempts: POSTs made for it so far.
        attempt: Id of the attempt whose answer it came in.
        path: The file. Of a failed one: the file it had been before, since gone or damaged.
        mtime_ns: Of the file when it was saved; with its size it says that nobody has touched it since. None: read it.
        cause: Of a failure: one of `GiveUp.CAUSES`.
    """

    key: str
    idx: int
    item: str
    state: str
    created_at: str
    attempts: int = 0
    attempt: str | None = None
    path: str | None = None
    mime_type: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    mtime_ns: int | None = None
    url: str | None = None
    revised_prompt: str | None = None
    cause: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class CostBreakdown:
    """What some attempts have cost, so that nothing is left out: the five add up to all that was or may be billed.

    Attributes:
        delivered: Tokens for pictures that came and became files.
        undelivered: Tokens for pictures that are paid for and not fetched yet; the next run fetches them.
        filtered: Tokens for answers that held no picture.
        lost: Tokens for answers that never came or can't be read, and for pictures that can't be had any more.
        unresolved: Tokens, at list price, of requests of which it is not known yet whether they were billed.
        requests: How many attempts each of the five is about, in this order; an attempt with pictures of several kinds
            counts as delivered.
        answers: Paid answers among them.
        unknown_cost: Paid answers that gave no cost, neither in tokens nor in dollars; they count at list price.
    """

    delivered: int = 0
    undelivered: int = 0
    filtered: int = 0
    lost: int = 0
    unresolved: int = 0
    requests: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    answers: int = 0
    unknown_cost: int = 0

    @property
    def billed(self) -> int:
        """Tokens in all."""
        return self.delivered + self.undelivered + self.filtered + self.lost + self.unresolved


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the item of this id was made from last."""

    item: str
    key: str
    prompt: str
    aspect_ratio: str | None
    seed: int | None


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger says of one item.

    Attributes:
        images: What became of its images, by index.
        attempts: The attempts made for it, oldest first.
        recipe: What it was made from last, for an item that lacks images.
    """

    images: Mapping[int, ImageRow]
    attempts: Sequence[Attempt]
    recipe: Recipe | None = None


def columns(row: type[Any]) -> str:
    """The columns of a row's table in the order of its fields, for a SELECT or an INSERT."""
    return ", ".join(field.name for field in fields(row))


def marks(row: type[Any]) -> str:
    """As many question marks as a row has columns."""
    return ", ".join("?" for _ in fields(row))


image_values: Callable[[ImageRow], tuple[Any, ...]] = attrgetter(*(field.name for field in fields(ImageRow)))
"""The values of an image's row in the order of its columns."""
