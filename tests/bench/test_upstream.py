from dataclasses import replace
from pathlib import Path

import pytest

from bench.assignment import Assignment
from bench.delivery import missing_answers, missing_pictures
from bench.peers.png_walk import PngWalk
from bench.upstream.limit import Bucket, retry_after
from bench.upstream.pictures import tiny
from pipeline.picture import PictureCheck


def test_a_picture_is_whole_and_says_whose_it_is() -> None:
    picture = tiny().head(7) + tiny().tail

    check = PictureCheck()
    check.feed(picture)
    assert (check.finish().width, check.finish().height) == (1, 1)
    assert tiny().number(picture) == 7
    assert tiny().size == len(picture)


def test_a_picture_with_a_single_other_byte_is_nobodys() -> None:
    picture = bytearray(tiny().head(7) + tiny().tail)
    picture[-20] ^= 1

    assert tiny().number(bytes(picture)) is None
    assert tiny().number(bytes(picture[:-1])) is None


@pytest.mark.parametrize("size", [1, 3, 11, 1000])
def test_the_floors_walk_sees_whether_a_picture_is_whole(size: int) -> None:
    picture = tiny().head(7) + tiny().tail

    assert _walked(picture, size).whole
    assert not _walked(picture[:-1], size).whole
    with pytest.raises(ValueError, match="damaged"):
        _walked(picture.replace(b"0000007", b"0000008"), size)


def _walked(picture: bytes, size: int) -> PngWalk:
    walk = PngWalk()
    for at in range(0, len(picture), size):
        walk.feed(picture[at : at + size])
    return walk


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(per_minute=60, burst=2)

    assert [bucket.take(0.0), bucket.take(0.0)] == [0.0, 0.0]
    assert bucket.take(0.25) == pytest.approx(0.75)
    assert bucket.take(1.0) == 0.0
    assert retry_after(0.75) == 1


def test_what_is_not_there_or_not_right_is_lost(tmp_path: Path) -> None:
    work = Assignment("fetch", "", "http://cdn", items=3, in_flight=1, folder=str(tmp_path))
    (tmp_path / "any-name.png").write_bytes(tiny().head(0) + tiny().tail)
    (tmp_path / "cut.png").write_bytes(tiny().head(1) + tiny().tail[:-1])
    (tmp_path / ".state").mkdir()
    (tmp_path / ".state" / "kept.png").write_bytes(tiny().head(2) + tiny().tail)

    assert missing_pictures(work, tiny()) == 2


def test_answers_are_counted_by_the_urls_that_they_held(tmp_path: Path) -> None:
    work = Assignment("ask", "", "http://cdn", items=3, in_flight=1, folder=str(tmp_path))
    replace(work, items=2).hand_in([work.url(0), work.url(0)])

    assert missing_answers(work) == 2
