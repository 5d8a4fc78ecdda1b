"""An answer that offers a picture in several ways: all are tried, the bytes in hand first."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.download import Transfer
from pipeline.errors import DownloadBroken, GiveUp, StorageFailed
from pipeline.generated import GeneratedImage
from tests.download.cdn import Cdn, Reply, downloading, http, pictures, serving
from tests.picture.samples import JPEG, PNG, drawn

BIG = drawn("PNG")
GONE = http(b"no", "404 Not Found")
BUSY = http(b"", "503 Busy", Retry_After="7")
PAGE = http(b"<!doctype html>Just a moment")
AVIF = b"\0\0\0\x20ftypavif\0\0\0\0avif" + bytes(99)


@dataclass
class Encoded:
    """Bytes in an answer that are still encoded; some of them perhaps not to be decoded."""

    parts: tuple[bytes, ...]
    error: str | None = None

    def pieces(self) -> Iterator[bytes]:
        yield from self.parts
        if self.error:
            raise ValueError(self.error)

    def raw(self) -> Iterator[bytes]:
        yield from (b"iVBO", b"!!!")


@asynccontextmanager
async def offered(
    root: Path,
    *replies: Reply,
    image: Callable[[Cdn], GeneratedImage],
    fits: Callable[[int, int], bool] = lambda *_: True,
) -> AsyncIterator[tuple[Cdn, Transfer]]:
    async with serving(*replies) as cdn, downloading(root) as downloads:
        with downloads.transfer(image(cdn), "fox", fits) as transfer:
            yield cdn, transfer


async def given_up(transfer: Transfer) -> GiveUp:
    with pytest.raises(GiveUp) as caught:
        await transfer.attempt()
    return caught.value


async def broken(transfer: Transfer) -> DownloadBroken:
    with pytest.raises(DownloadBroken) as caught:
        await transfer.attempt()
    return caught.value


@pytest.mark.parametrize("data", [BIG, Encoded((BIG[:100], BIG[100:]))])
async def test_bytes_in_hand_are_taken_and_no_url_is_asked(tmp_path: Path, data: bytes | Encoded) -> None:
    async with offered(tmp_path, image=lambda cdn: GeneratedImage(url=cdn.url(), data=data)) as (cdn, transfer):
        image = await transfer.attempt()
    assert (image.sha256, cdn.connections) == (hashlib.sha256(BIG).hexdigest(), 0)


@pytest.mark.parametrize(
    "data", [BIG[:-1], b"", AVIF, b"<html>gone", Encoded((BIG[:50],)), Encoded((BIG,), "not base64"), Encoded(())]
)
async def test_where_the_bytes_in_hand_are_no_picture_the_url_is_asked(tmp_path: Path, data: bytes | Encoded) -> None:
    image = lambda cdn: GeneratedImage(url=cdn.url(), data=data)  # noqa: E731
    async with offered(tmp_path, http(JPEG), image=image) as (cdn, transfer):
        assert (await transfer.attempt()).path == "fox.jpg"
    assert len(cdn.asked) == 1
    assert "fox.jpg" in pictures(tmp_path)


async def test_further_urls_are_asked_in_their_order_within_one_attempt(tmp_path: Path) -> None:
    def image(cdn: Cdn) -> GeneratedImage:
        return GeneratedImage(url=cdn.url("/1"), more_urls=(cdn.url("/2"), "ftp://nowhere/x", cdn.url("/3")))

    async with offered(tmp_path, GONE, PAGE, http(PNG), image=image) as (cdn, transfer):
        assert (await transfer.attempt()).path == "fox.png"
    assert [asked.path for asked in cdn.asked] == ["/1", "/2", "/3"]
    assert pictures(tmp_path) == ["fox.png"]


async def test_a_url_that_is_named_twice_is_asked_once(tmp_path: Path) -> None:
    image = lambda cdn: GeneratedImage(url=cdn.url(), more_urls=(cdn.url(), cdn.url()))  # noqa: E731
    async with offered(tmp_path, GONE, image=image) as (cdn, transfer):
        await broken(transfer)
    assert len(cdn.asked) == 1


async def test_each_way_goes_on_where_it_was(tmp_path: Path) -> None:
    half = len(BIG) // 2
    cut = http(BIG[:half], length=len(BIG), ETag='"v1"')
    rest = http(BIG[half:], "206 Partial", Content_Range=f"bytes {half}-{len(BIG) - 1}/{len(BIG)}")
    image = lambda cdn: GeneratedImage(url=cdn.url("/1"), more_urls=(cdn.url("/2"),))  # noqa: E731
    async with offered(tmp_path, cut, GONE, rest, image=image) as (cdn, transfer):
        await broken(transfer)
        assert (await transfer.attempt()).bytes == len(BIG)
    assert [(asked.path, asked.headers.get("Range")) for asked in cdn.asked] == [
        ("/1", None),
        ("/2", None),
        ("/1", f"bytes={half}-"),
    ]


@pytest.mark.parametrize(
    ("replies", "refused", "pause"),
    [((GONE, PAGE), True, None), ((GONE, BUSY), False, 7), ((BUSY, GONE), False, 7), ((BUSY, BUSY), False, 7)],
)
async def test_the_most_hopeful_way_decides_whether_all_refuse(
    tmp_path: Path, replies: tuple[bytes, bytes], refused: bool, pause: float | None
) -> None:
    image = lambda cdn: GeneratedImage(url=cdn.url("/1"), more_urls=(cdn.url("/2"),))  # noqa: E731
    async with offered(tmp_path, *replies, image=image) as (_, transfer):
        error = await broken(transfer)
    assert (error.refused, error.retry_after, error.cause) == (refused, pause, "download")


async def test_the_bytes_in_hand_are_not_looked_at_again_and_their_trouble_is_told_with_that_of_the_url(
    tmp_path: Path,
) -> None:
    image = lambda cdn: GeneratedImage(url=cdn.url(), data=BIG[:-1])  # noqa: E731
    async with offered(tmp_path, GONE, image=image) as (cdn, transfer):
        first, second = await broken(transfer), await broken(transfer)
    assert str(first) == str(second)
    assert "it is a PNG that was cut off; it is kept as .pipeline/quarantine/fox.png; http://" in str(first)
    assert len(cdn.asked) == 2


async def test_a_text_that_cannot_be_decoded_says_so_and_is_kept_as_it_came(tmp_path: Path) -> None:
    data = Encoded((BIG[:50],), "a sign that base64 does not have, at 7")
    async with offered(tmp_path, image=lambda _: GeneratedImage(data=data)) as (_, transfer):
        error = await given_up(transfer)
    assert (error.cause, str(error)) == (
        "bad-picture",
        "the picture for fox in the answer can't be decoded: a sign that base64 does not have, at 7; it is kept as "
        ".pipeline/quarantine/fox.b64",
    )
    assert (tmp_path / ".pipeline/quarantine/fox.b64").read_text() == "iVBO!!!"


@pytest.mark.parametrize("data", [b"", Encoded(())])
async def test_only_what_is_empty_is_called_so(tmp_path: Path, data: bytes | Encoded) -> None:
    async with offered(tmp_path, image=lambda _: GeneratedImage(data=data)) as (_, transfer):
        error = await given_up(transfer)
    assert (error.cause, str(error)) == ("bad-picture", "what came for fox is no whole picture: it is empty")
    assert pictures(tmp_path) == []


async def test_where_no_way_is_left_all_that_is_wrong_is_told(tmp_path: Path) -> None:
    def image(cdn: Cdn) -> GeneratedImage:
        return GeneratedImage(data=b"GIF89a\1\0", url="ftp://nowhere/x", more_urls=(cdn.url(),))

    async with offered(tmp_path, http(AVIF), image=image) as (_, transfer):
        error = await given_up(transfer)
    assert error.cause == "bad-picture"
    for words in ("a GIF picture", "unsafe image URL", "an AVIF picture"):
        assert words in str(error)
    assert pictures(tmp_path) == [".pipeline/quarantine/fox.avif", ".pipeline/quarantine/fox.gif"]


async def test_a_thumbnail_in_the_answer_does_not_stand_for_the_picture(tmp_path: Path) -> None:
    def large(width: int, height: int) -> bool:
        return width > 10

    image = lambda cdn: GeneratedImage(data=PNG, url=cdn.url())  # noqa: E731
    async with offered(tmp_path, http(BIG), image=image, fits=large) as (_, transfer):
        assert (await transfer.attempt()).width == 40


@pytest.mark.parametrize("inside", [False, True])
async def test_a_picture_that_the_api_calls_unusable_is_kept_and_moderated(tmp_path: Path, inside: bool) -> None:
    def image(cdn: Cdn) -> GeneratedImage:
        flagged = "has_nsfw_concepts"
        return GeneratedImage(data=BIG, flagged=flagged) if inside else GeneratedImage(url=cdn.url(), flagged=flagged)

    async with offered(tmp_path, http(BIG), image=image, fits=lambda *_: False) as (_, transfer):
        error = await given_up(transfer)
    assert (error.cause, str(error)) == (
        "moderated",
        "the API calls its own picture unusable (has_nsfw_concepts); it is kept as .pipeline/quarantine/fox.png",
    )
    assert pictures(tmp_path) == [".pipeline/quarantine/fox.png"]


async def test_a_flagged_picture_is_fetched_as_patiently_as_any_other(tmp_path: Path) -> None:
    image = lambda cdn: GeneratedImage(url=cdn.url(), flagged="unsafe")  # noqa: E731
    async with offered(tmp_path, BUSY, GONE, http(BIG), image=image) as (_, transfer):
        await broken(transfer)
        assert (await broken(transfer)).refused
        assert (await given_up(transfer)).cause == "moderated"


async def test_a_flagged_picture_in_another_format_is_moderated_too(tmp_path: Path) -> None:
    image = lambda cdn: GeneratedImage(url=cdn.url(), flagged="unsafe")  # noqa: E731
    async with offered(tmp_path, http(AVIF), image=image) as (_, transfer):
        error = await given_up(transfer)
    assert error.cause == "moderated"
    assert "unsafe" in str(error)
    assert ".pipeline/quarantine/fox.avif" in str(error)


async def test_a_paid_picture_that_quarantine_cannot_take_stops_the_run_and_is_fetched_by_the_next(
    tmp_path: Path,
) -> None:
    async with offered(tmp_path, http(AVIF), image=lambda cdn: GeneratedImage(url=cdn.url())) as (_, transfer):
        (tmp_path / ".pipeline" / "quarantine").write_bytes(b"")
        with pytest.raises(StorageFailed):
            await transfer.attempt()
    assert pictures(tmp_path) == [".pipeline/quarantine"]
