import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import StorageFailed
from sandbox.painter import Painting
from sandbox.request_log import GETS_KEPT, RequestLog, Status

FOX = Painting("A fox", 2**32 - 1, 1408, 768, "image/png", "google/imagen", "16:9")


def enter(
    log: RequestLog, created: float, *, status: Status = "succeeded", credits_: int = 10, model: str = "m"
) -> int:
    return log.enter(
        created=created,
        status=status,
        model=model,
        prompt="A fox",
        credits_=credits_,
        images=1,
        inference_id=f"inference-{created}",
        client_request_id=None,
    )


@pytest.fixture
def log() -> Iterator[RequestLog]:
    log = RequestLog()
    yield log
    log.close()


def test_requests_are_counted_by_what_they_are(log: RequestLog) -> None:
    for created in range(3):
        enter(log, created)
    enter(log, 3, status="failed", credits_=0)
    assert (log.count(), log.count(status="succeeded"), log.count(status=["failed", "refused"])) == (4, 3, 1)
    assert log.count(client_request_id=None) == 4
    assert log.billed_credits() == 30


def test_a_page_is_newest_first(log: RequestLog) -> None:
    for created in range(10):
        enter(log, created, model="even" if created % 2 == 0 else "odd")
    page = log.page(1, 9, limit=2, offset=1, model="even")
    assert [row.created for row in page] == [6, 4]
    assert log.count_between(1, 9, model="even") == 4
    assert [row.created for row in log.page(0, 99, limit=9, before=page[1].id)] == [3, 2, 1, 0]


def test_a_log_is_continued_from_their_file(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "deep" / "books.db")
    number = enter(log, 1.0)
    log.owe([("/a.png", FOX)])
    log.close()
    again = RequestLog(tmp_path / "deep" / "books.db")
    assert again.picture("/a.png") == FOX
    assert again.billed_credits() == 10
    assert enter(again, 2.0) > number
    again.close()


def test_a_log_that_can_not_be_kept_is_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match="can't keep its books"):
        RequestLog(tmp_path / "file" / "books.db")


def test_text_that_utf8_can_not_hold_is_kept_without_it(log: RequestLog) -> None:
    log.owe([("/a.png", Painting("half \ud800", 1, 8, 8, "image/png", "m"))])
    picture = log.picture("/a.png")
    assert picture is not None
    assert picture.prompt == "half ?"


def test_gets_are_all_counted_and_the_latest_kept(log: RequestLog) -> None:
    log.owe([("/a.png", FOX), ("/b.png", FOX)])
    for n in range(GETS_KEPT + 5):
        log.got(n, "/a.png", {"Range": f"bytes={n}-"})
    log.got(9999.0, "/b.png", {})
    assert (log.gets("/a.png"), log.gets("/b.png"), log.gets("/c.png")) == (GETS_KEPT + 5, 1, 0)
    assert log.gets() == GETS_KEPT + 6
    kept = log.last_gets("/a.png")
    assert len(log.last_gets()) == GETS_KEPT
    assert kept[-1].headers == {"range": f"bytes={GETS_KEPT + 4}-"}


def test_a_file_that_is_no_database_is_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "books.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageFailed, match="can't keep its books"):
        RequestLog(tmp_path / "books.db")


def test_a_log_from_before_pictures_had_a_label_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    log = RequestLog(path)
    log.owe([("/fox.png", FOX)])
    log.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE pictures DROP COLUMN label")
        db.commit()
    again = RequestLog(path)
    assert again.picture("/fox.png") == FOX
    again.owe([("/owl.png", replace(FOX, label="0123abcd"))])
    assert again.picture("/owl.png") == replace(FOX, label="0123abcd")
    again.close()
