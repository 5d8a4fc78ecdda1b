"""A ledger that an older version wrote is read as it is, and brought up to date by the next run."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.ledger import Ledger, LedgerReader
from tests.ledger.rows import AT

VERSION_1 = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY, started_at TEXT NOT NULL, ended_at TEXT, endpoint TEXT NOT NULL, exit_code INTEGER
) STRICT;
CREATE TABLE attempts (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, run TEXT NOT NULL REFERENCES runs (id),
    key TEXT NOT NULL, item TEXT NOT NULL, model TEXT NOT NULL, indexes TEXT NOT NULL, price INTEGER,
    state TEXT NOT NULL CHECK (state IN ('intent', 'rejected', 'maybe', 'paid')),
    created_at TEXT NOT NULL, ended_at TEXT, status INTEGER, inference_id TEXT, answer BLOB, delivered INTEGER,
    tokens INTEGER, usd REAL, made_by TEXT, error TEXT
) STRICT;
CREATE INDEX attempts_by_key ON attempts (key);
CREATE INDEX attempts_open ON attempts (seq) WHERE state IN ('intent', 'maybe');
CREATE INDEX attempts_unread ON attempts (seq) WHERE state = 'paid' AND delivered IS NULL;
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
INSERT INTO runs VALUES ('r', '2026-11-23T02:30:00.000Z', '2026-11-23T02:31:00.000Z', 'aimlapi', 0);
INSERT INTO attempts (id, run, key, item, model, indexes, price, state, created_at, answer, delivered, tokens)
    VALUES ('r.a', 'r', 'key-1', 'hero', 'm', '[0]', 5, 'paid', '2026-11-23T02:30:01.000Z', x'7b7d', 1, 7),
           ('r.b', 'r', 'key-2', 'fox', 'm', '[0, 1]', 5, 'maybe', '2026-11-23T02:30:02.000Z', NULL, NULL, NULL);
INSERT INTO images (key, idx, item, state, created_at, attempts, path)
    VALUES ('key-1', 0, 'hero', 'saved', '2026-11-23T02:30:03.000Z', 1, 'hero.png');
PRAGMA user_version = 1;
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1)
    return path


def check(ledger: LedgerReader) -> None:
    assert ledger.images("key-1")[0].path == "hero.png"
    (paid,) = ledger.attempts("key-1")
    assert (paid.state, paid.answer, paid.tokens, paid.lost, paid.checks) == ("paid", b"{}", 7, 0, 0)
    (maybe,) = ledger.unsettled("https://api.aimlapi.com")
    assert (maybe.id, maybe.indexes, maybe.open) == ("r.b", (0, 1), True)
    assert (ledger.books().delivered, ledger.books().unresolved) == (7, 5)


def test_an_older_ledger_can_be_read_without_being_changed(old: Path) -> None:
    before = old.read_bytes()
    with LedgerReader(old) as ledger:
        check(ledger)
    assert old.read_bytes() == before


async def test_the_next_run_brings_an_older_ledger_up_to_date(old: Path) -> None:
    with Ledger(old) as ledger:
        check(ledger)
        await ledger.settled("r.b", "lost", AT, tokens=6, error="billed")
        assert ledger.books().lost == 6
    with LedgerReader(old) as ledger:
        assert ledger.books().billed == 13
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (3,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


VERSION_2 = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY, started_at TEXT NOT NULL, ended_at TEXT, endpoint TEXT NOT NULL, exit_code INTEGER,
    base TEXT
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
CREATE TABLE attempts (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    run TEXT NOT NULL REFERENCES runs (id),
    key TEXT NOT NULL, item TEXT NOT NULL, model TEXT NOT NULL,
    indexes TEXT NOT NULL,
    price INTEGER,
    state TEXT NOT NULL CHECK (state IN ('intent', 'rejected', 'maybe', 'unbilled', 'lost', 'paid')),
    created_at TEXT NOT NULL, ended_at TEXT,
    status INTEGER, inference_id TEXT, answer BLOB,
    delivered INTEGER,
    tokens INTEGER, usd REAL,
    made_by TEXT,
    error TEXT,
    settled_at TEXT,
    checks INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX attempts_by_key ON attempts (key);
CREATE INDEX attempts_open ON attempts (seq) WHERE state IN ('intent', 'maybe');
CREATE INDEX attempts_unread ON attempts (seq) WHERE state = 'paid' AND delivered IS NULL;
CREATE INDEX attempts_by_inference ON attempts (inference_id) WHERE inference_id IS NOT NULL;
CREATE INDEX attempts_unbilled ON attempts (seq) WHERE state = 'unbilled';
CREATE TABLE folder (output TEXT NOT NULL) STRICT;
CREATE TABLE stamp (facts TEXT NOT NULL) STRICT;
INSERT INTO runs VALUES ('r', '2026-11-23T02:30:00.000Z', '2026-11-23T02:31:00.000Z', 'aimlapi', 0, 'b');
INSERT INTO attempts (id, run, key, item, model, indexes, price, state, created_at, answer, delivered, tokens, lost)
    VALUES ('r.a', 'r', 'key-1', 'hero', 'm', '[0, 1]', 5, 'paid', '2026-11-23T02:30:01.000Z', x'7b7d', 2, 8, 1),
           ('r.b', 'r', 'key-1', 'hero', 'm', '[0]', 5, 'paid', '2026-11-23T02:30:02.000Z', x'7b7d', 1, 5, 0),
           ('r.c', 'r', 'key-1', 'hero', 'm', '[0]', 5, 'paid', '2026-11-23T02:30:03.000Z', x'7b7d', 1, 6, 0),
           ('r.d', 'r', 'key-2', 'fox', 'm', '[0]', 5, 'unbilled', '2026-11-23T02:30:04.000Z', NULL, NULL, NULL, 0);
INSERT INTO images (key, idx, item, state, created_at, attempts, attempt, path, sha256, bytes, cause)
    VALUES ('key-1', 0, 'hero', 'saved', '2026-11-23T02:30:05.000Z', 2, 'r.b', 'hero.png', 'ab', 9, NULL),
           ('key-1', 1, 'hero', 'failed', '2026-11-23T02:30:05.000Z', 1, 'r.a', NULL, NULL, NULL, 'lost');
PRAGMA user_version = 2;
"""


@pytest.fixture
def of_version_2(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_2)
    return path


def test_a_ledger_of_version_2_knows_which_paid_pictures_were_never_fetched(of_version_2: Path) -> None:
    with Ledger(of_version_2) as ledger:
        books = ledger.books()
        # r.a: one picture replaced since, one lost; r.b is the file that is there; r.c was cut off before its download.
        assert (books.delivered, books.lost, books.undelivered, books.billed) == (4 + 5, 4, 6, 19)
        assert [attempt.state for attempt in ledger.attempts("key-2")] == ["unbilled"]
    with closing(sqlite3.connect(of_version_2)) as db:
        found = db.execute(
            "SELECT attempt, idx, state, path, sha256, bytes FROM takes ORDER BY attempt, idx"
        ).fetchall()
        assert found == [
            ("r.a", 0, "saved", None, None, None),
            ("r.a", 1, "lost", None, None, None),
            ("r.b", 0, "saved", "hero.png", "ab", 9),
        ]
        assert db.execute("PRAGMA user_version").fetchone() == (3,)


def test_a_large_answer_of_version_2_is_still_whole(of_version_2: Path) -> None:
    large = bytes(range(256)) * 8192
    with closing(sqlite3.connect(of_version_2)) as db, db:
        db.execute("UPDATE attempts SET answer = ? WHERE id = 'r.c'", (large,))
    with LedgerReader(of_version_2) as reader:
        assert [attempt.answer for attempt in reader.attempts("key-1")] == [b"{}", b"{}", large]
    with Ledger(of_version_2) as ledger:
        assert [attempt.answer for attempt in ledger.attempts("key-1")] == [b"{}", b"{}", large]
