import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import StorageFailed
from sandbox.books import GETS_KEPT, Books, Status
from sandbox.painter import Picture

FOX = Picture("A fox", 2**32 - 1, 1408, 768, "image/png", "google/imagen", "16:9")


def enter(books: Books, created: float, *, status: Status = "succeeded", credits_: int = 10, model: str = "m") -> int:
    return books.enter(
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
def books() -> Iterator[Books]:
    books = Books()
    yield books
    books.close()


def test_requests_are_counted_by_what_they_are(books: Books) -> None:
    for created in range(3):
        enter(books, created)
    enter(books, 3, status="failed", credits_=0)
    assert (books.count(), books.count(status="succeeded"), books.count(status=["failed", "refused"])) == (4, 3, 1)
    assert books.count(client_request_id=None) == 4
    assert books.billed_credits() == 30


def test_a_page_is_newest_first(books: Books) -> None:
    for created in range(10):
        enter(books, created, model="even" if created % 2 == 0 else "odd")
    page = books.page(1, 9, limit=2, offset=1, model="even")
    assert [row.created for row in page] == [6, 4]
    assert books.count_between(1, 9, model="even") == 4
    assert [row.created for row in books.page(0, 99, limit=9, before=page[1].id)] == [3, 2, 1, 0]


def test_books_are_continued_from_their_file(tmp_path: Path) -> None:
    books = Books(tmp_path / "deep" / "books.db")
    number = enter(books, 1.0)
    books.owe([("/a.png", FOX)])
    books.close()
    again = Books(tmp_path / "deep" / "books.db")
    assert again.picture("/a.png") == FOX
    assert again.billed_credits() == 10
    assert enter(again, 2.0) > number
    again.close()


def test_books_that_can_not_be_kept_are_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match="can't keep its books"):
        Books(tmp_path / "file" / "books.db")


def test_text_that_utf8_can_not_hold_is_kept_without_it(books: Books) -> None:
    books.owe([("/a.png", Picture("half \ud800", 1, 8, 8, "image/png", "m"))])
    picture = books.picture("/a.png")
    assert picture is not None
    assert picture.prompt == "half ?"


def test_gets_are_all_counted_and_the_latest_kept(books: Books) -> None:
    books.owe([("/a.png", FOX), ("/b.png", FOX)])
    for n in range(GETS_KEPT + 5):
        books.got(n, "/a.png", {"Range": f"bytes={n}-"})
    books.got(9999.0, "/b.png", {})
    assert (books.gets("/a.png"), books.gets("/b.png"), books.gets("/c.png")) == (GETS_KEPT + 5, 1, 0)
    assert books.gets() == GETS_KEPT + 6
    kept = books.last_gets("/a.png")
    assert len(books.last_gets()) == GETS_KEPT
    assert kept[-1].headers == {"range": f"bytes={GETS_KEPT + 4}-"}


def test_a_file_that_is_no_database_is_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "books.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageFailed, match="can't keep its books"):
        Books(tmp_path / "books.db")


def test_books_from_before_pictures_had_a_label_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    books = Books(path)
    books.owe([("/fox.png", FOX)])
    books.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE pictures DROP COLUMN label")
        db.commit()
    again = Books(path)
    assert again.picture("/fox.png") == FOX
    again.owe([("/owl.png", replace(FOX, label="0123abcd"))])
    assert again.picture("/owl.png") == replace(FOX, label="0123abcd")
    again.close()
