import asyncio
import errno
import hashlib
import os
from functools import partial
from pathlib import Path
from urllib.parse import urljoin

import anyio
import pytest

from pipeline.download import Transfer
from pipeline.errors import DownloadBroken, GiveUp, StorageFailed
from pipeline.generated import GeneratedImage
from pipeline.model import SavedImage
from tests.download.cdn import Asked, Reply, downloading, http, pictures, serving, transferring
from tests.picture.samples import JPEG, PNG, WEBP, chunk, drawn, header, png

BIG = drawn("PNG")
HALF = len(BIG) // 2
EXTRA = chunk(b"juNK", bytes(100_000))


async def broken(transfer: Transfer) -> DownloadBroken:
    with pytest.raises(DownloadBroken) as caught:
        await transfer.attempt()
    assert "SECRET" not in str(caught.value)
    return caught.value


async def given_up(transfer: Transfer) -> GiveUp:
    with pytest.raises(GiveUp) as caught:
        await transfer.attempt()
    assert "SECRET" not in str(caught.value)
    return caught.value


# What is whole.


async def test_a_whole_picture_becomes_a_file(tmp_path: Path) -> None:
    async with transferring(tmp_path, http(BIG)) as (cdn, transfer):
        image = await transfer.attempt()
    mtime_ns = (tmp_path / "fox.png").stat().st_mtime_ns
    assert image == SavedImage("fox.png", "image/png", len(BIG), hashlib.sha256(BIG).hexdigest(), 40, 30, mtime_ns)
    assert (tmp_path / image.path).read_bytes() == BIG
    assert pictures(tmp_path) == ["fox.png"]
    assert cdn.asked[0].headers["Accept-Encoding"] == "identity"
    assert not {"Authorization", "Cookie", "Range"} & set(cdn.asked[0].headers)


@pytest.mark.parametrize(("body", "name"), [(PNG, "fox.png"), (JPEG, "fox.jpg"), (WEBP, "fox.webp")])
async def test_the_bytes_decide_the_type_whatever_url_and_header_say(tmp_path: Path, body: bytes, name: str) -> None:
    async with transferring(tmp_path, http(body, Content_Type="text/html"), path="/fox.gif") as (_, transfer):
        assert (await transfer.attempt()).path == name


async def test_chunked_and_unlengthed_bodies_land_as_well(tmp_path: Path) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BIG[:7], BIG[7:])) + b"0\r\n\r\n"
    for reply in (http(chunks, length=-1, Transfer_Encoding="chunked"), http(BIG, length=-1)):
        async with transferring(tmp_path, reply) as (_, transfer):
            assert (await transfer.attempt()).bytes == len(BIG)


async def test_a_signed_url_is_asked_for_to_the_letter(tmp_path: Path) -> None:
    path = "/a%2Fb/%7Efox~(1).png?sig=a%2Bb+c/d%3D&x=%41"
    async with transferring(tmp_path, http(), path=path) as (cdn, transfer):
        await transfer.attempt()
        assert cdn.asked[0].path == path


async def test_the_url_can_be_located_elsewhere(tmp_path: Path) -> None:
    async with serving(http()) as cdn, downloading(tmp_path) as downloads:
        image = GeneratedImage(url="/images/fox.png")
        with downloads.transfer(image, "fox", lambda *_: True, cdn.url) as transfer:
            await transfer.attempt()
        assert cdn.asked[0].path == "/images/fox.png"


# Bytes that came with the answer.


async def test_bytes_in_the_answer_land_in_the_same_way(tmp_path: Path) -> None:
    async with downloading(tmp_path) as downloads:
        with downloads.transfer(GeneratedImage(data=BIG), "fox", lambda *_: True) as transfer:
            image = await transfer.attempt()
    mtime_ns = (tmp_path / "fox.png").stat().st_mtime_ns
    assert image == SavedImage("fox.png", "image/png", len(BIG), hashlib.sha256(BIG).hexdigest(), 40, 30, mtime_ns)
    assert (tmp_path / "fox.png").read_bytes() == BIG


async def test_broken_bytes_in_the_answer_are_given_up_at_once_and_kept(tmp_path: Path) -> None:
    async with downloading(tmp_path) as downloads:
        with downloads.transfer(GeneratedImage(data=BIG[:-1]), "fox", lambda *_: True) as transfer:
            error = await given_up(transfer)
    assert (error.cause, str(error)) == (
        "bad-picture",
        "what came for fox is no whole picture: it is a PNG that was cut off; it is kept as "
        ".pipeline/quarantine/fox.png",
    )
    assert pictures(tmp_path) == [".pipeline/quarantine/fox.png"]


async def test_a_url_that_cannot_even_be_joined_is_lost_and_ends_nothing_else(tmp_path: Path) -> None:
    async with downloading(tmp_path) as downloads:
        image = GeneratedImage(url="http://[::1?SECRET")
        locate = partial(urljoin, "http://api.example/v1/images")
        with downloads.transfer(image, "fox", lambda *_: True, locate) as transfer:
            assert (await given_up(transfer)).cause == "lost"


async def test_an_image_with_neither_url_nor_bytes_is_lost(tmp_path: Path) -> None:
    async with downloading(tmp_path) as downloads:
        with downloads.transfer(GeneratedImage(), "fox", lambda *_: True) as transfer:
            assert (await given_up(transfer)).cause == "lost"


# What is cut, and goes on.


def ranged(step: int, body: bytes = BIG, **headers: str) -> Reply:
    """A server that sends `step` bytes a connection, honours Range, and cuts the rest."""

    async def reply(asked: Asked, writer: asyncio.StreamWriter) -> None:
        start = int(asked.headers.get("Range", "bytes=0-")[6:-1])
        piece = body[start : start + step]
        extra = dict(headers)
        if start:
            extra["Content_Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        writer.write(http(piece, "206 Partial" if start else "200 OK", len(body) - start, **extra))
        await writer.drain()

    return reply


async def test_a_transfer_that_is_cut_again_and_again_goes_on_where_it_was(tmp_path: Path) -> None:
    step = len(BIG) // 7
    async with transferring(tmp_path, ranged(step, ETag='"v1"')) as (cdn, transfer):
        for _ in range(7):
            assert (await broken(transfer)).cause == "download"
        image = await transfer.attempt()
    assert image.sha256 == hashlib.sha256(BIG).hexdigest()
    assert (tmp_path / "fox.png").read_bytes() == BIG
    assert [asked.headers.get("Range") for asked in cdn.asked] == [None, *(f"bytes={n * step}-" for n in range(1, 8))]
    assert {asked.headers["If-Range"] for asked in cdn.asked[1:]} == {'"v1"'}


async def test_a_date_of_modification_will_do_where_the_tag_is_weak(tmp_path: Path) -> None:
    date = "Mon, 23 Nov 2026 08:00:00 GMT"
    async with transferring(tmp_path, ranged(HALF + 1, ETag='W/"v1"', Last_Modified=date)) as (cdn, transfer):
        await broken(transfer)
        await transfer.attempt()
    assert cdn.asked[1].headers["If-Range"] == date


async def test_a_server_that_names_no_version_is_asked_for_everything_again(tmp_path: Path) -> None:
    async with transferring(tmp_path, http(BIG[:HALF], length=len(BIG)), http(BIG)) as (cdn, transfer):
        assert "the connection was cut" in str(await broken(transfer))
        await transfer.attempt()
    assert "Range" not in cdn.asked[1].headers
    assert (tmp_path / "fox.png").read_bytes() == BIG


async def test_a_200_to_a_range_starts_over(tmp_path: Path) -> None:
    cut = http(BIG[:HALF], length=len(BIG), ETag='"v1"')
    async with transferring(tmp_path, cut, http(JPEG, ETag='"v2"')) as (cdn, transfer):
        await broken(transfer)
        assert (await transfer.attempt()).path == "fox.jpg"
    assert cdn.asked[1].headers["Range"] == f"bytes={HALF}-"
    assert pictures(tmp_path) == ["fox.jpg"]


async def test_a_416_starts_over(tmp_path: Path) -> None:
    replies = http(BIG[:HALF], length=len(BIG), ETag='"v1"'), http(b"", "416 Range Not Satisfiable"), http(BIG)
    async with transferring(tmp_path, *replies) as (cdn, transfer):
        await broken(transfer)
        assert (await broken(transfer)).cause == "download"
        await transfer.attempt()
    assert "Range" not in cdn.asked[2].headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content_Range": f"bytes {HALF + 1}-{len(BIG) - 1}/{len(BIG)}"},
        {"Content_Range": f"bytes {HALF}-{len(BIG)}/{len(BIG) + 1}"},
        {"Content_Range": f"bytes {HALF}-{len(BIG) - 2}/{len(BIG)}"},
        {"Content_Range": f"bytes {HALF}-{len(BIG) - 1}/{len(BIG)}", "ETag": '"v2"'},
        {"Content_Range": "bytes */9"},
    ],
)
async def test_a_206_that_is_not_the_rest_starts_over(tmp_path: Path, headers: dict[str, str]) -> None:
    cut = http(BIG[:HALF], length=len(BIG), ETag='"v1"')
    wrong = http(BIG[HALF:], "206 Partial Content", None, **headers)
    async with transferring(tmp_path, cut, wrong, http(BIG)) as (cdn, transfer):
        await broken(transfer)
        assert "another part of the picture" in str(await broken(transfer))
        await transfer.attempt()
    assert "Range" not in cdn.asked[2].headers
    assert (tmp_path / "fox.png").read_bytes() == BIG


@pytest.mark.parametrize(
    "given", [None, f"bytes 0-{len(PNG) - 1}/*", f"bytes 0-{len(PNG) - 1}/{len(PNG) + 1}", "bytes 1-2/3"]
)
async def test_a_206_that_nobody_asked_for_is_not_taken(tmp_path: Path, given: str | None) -> None:
    reply = http(PNG, "206 Partial Content", Content_Range=given or "none")
    async with transferring(tmp_path, reply) as (_, transfer):
        assert "another part" in str(await broken(transfer))


async def test_a_206_of_all_bytes_is_the_picture_whether_or_not_a_part_was_asked_for(tmp_path: Path) -> None:
    whole = http(BIG, "206 Partial Content", Content_Range=f"bytes 0-{len(BIG) - 1}/{len(BIG)}")
    async with transferring(tmp_path, http(BIG[:HALF], length=len(BIG), ETag='"v1"'), whole) as (cdn, transfer):
        await broken(transfer)
        await transfer.attempt()
    assert "Range" in cdn.asked[1].headers
    assert (tmp_path / "fox.png").read_bytes() == BIG
    async with transferring(tmp_path / "again", whole) as (_, transfer):
        await transfer.attempt()
    assert (tmp_path / "again" / "fox.png").read_bytes() == BIG


async def test_a_rest_that_ends_early_without_a_length_is_noticed(tmp_path: Path) -> None:
    rest = http(BIG[HALF:-5], "206 Partial", -1, Content_Range=f"bytes {HALF}-{len(BIG) - 1}/{len(BIG)}")
    async with transferring(tmp_path, http(BIG[:HALF], length=len(BIG), ETag='"v1"'), rest) as (_, transfer):
        await broken(transfer)
        assert f"sent {len(BIG) - 5} bytes of {len(BIG)}" in str(await broken(transfer))


@pytest.mark.parametrize("cut", [0, 3, HALF])
async def test_a_reset_in_the_middle_is_another_try(tmp_path: Path, cut: int) -> None:
    async def reset(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(http(BIG[:cut], length=len(BIG)) if cut else b"")
        await writer.drain()
        writer.transport.abort()

    async with transferring(tmp_path, reset) as (_, transfer):
        assert "the connection was cut" in str(await broken(transfer))


# What is no picture, or not the one asked for.


@pytest.mark.parametrize("length", [None, -1])
async def test_a_damaged_picture_is_fetched_anew_and_not_continued(tmp_path: Path, length: int | None) -> None:
    damaged = BIG[:HALF] + bytes([BIG[HALF] ^ 1]) + BIG[HALF + 1 :]
    async with transferring(tmp_path, http(damaged, length=length, ETag='"v1"'), http(BIG)) as (cdn, transfer):
        error = await broken(transfer)
        assert (error.cause, error.refused) == ("download", False)
        assert "the checksum of its IDAT chunk is wrong" in str(error)
        await transfer.attempt()
    assert "Range" not in cdn.asked[1].headers
    assert pictures(tmp_path) == ["fox.png"]


async def test_a_picture_that_is_broken_in_another_way_each_time_is_damaged_by_the_transfer(tmp_path: Path) -> None:
    replies = [http(BIG[:place] + bytes([BIG[place] ^ 1]) + BIG[place + 1 :]) for place in (60, 70, 80, 90)]
    async with transferring(tmp_path, *replies) as (_, transfer):
        for _ in replies:
            assert (await broken(transfer)).cause == "download"
    assert pictures(tmp_path) == [".pipeline/quarantine/fox.png"]


async def test_a_quarantine_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    async with transferring(tmp_path, http(BIG[:-1])) as (_, transfer):
        await broken(transfer)
        (tmp_path / ".pipeline" / "quarantine").write_bytes(b"")
    assert pictures(tmp_path) == [".pipeline/quarantine"]


async def test_a_picture_of_the_wrong_shape_is_given_up_and_kept(tmp_path: Path) -> None:
    async with serving(http(BIG)) as cdn, downloading(tmp_path) as downloads:
        image = GeneratedImage(url=cdn.url())
        with downloads.transfer(image, "fox", lambda width, height: width == height) as transfer:
            error = await given_up(transfer)
    assert error.cause == "bad-picture"
    assert str(error).startswith("the picture for fox is 40x30, not of the shape asked for")
    assert pictures(tmp_path) == [".pipeline/quarantine/fox.png"]


# What a server refuses.


@pytest.mark.parametrize("status", ["401 Who", "403 Forbidden", "404 Not Found", "410 Gone", "451 Withheld"])
async def test_a_picture_that_is_not_there_may_be_there_later(tmp_path: Path, status: str) -> None:
    async with transferring(tmp_path, http(b"no", status), http()) as (cdn, transfer):
        error = await broken(transfer)
        assert (error.cause, error.refused) == ("download", True)
        assert str(error).startswith(f"http://127.0.0.1:{cdn.port}/fox.png answers {status[:3]}: ")
        await transfer.attempt()


@pytest.mark.parametrize("status", ["429 Too Many", "500 Oops", "503 Busy", "408 Late"])
async def test_a_busy_server_says_when_to_come_back(tmp_path: Path, status: str) -> None:
    async with transferring(tmp_path, http(b"", status, Retry_After="7"), http(b"", status)) as (_, transfer):
        first, second = await broken(transfer), await broken(transfer)
    assert (first.cause, first.retry_after, second.retry_after) == ("download", 7, None)


@pytest.mark.parametrize("status", ["204 No Content", "302 Found", "304 Not Modified"])
async def test_an_answer_without_a_picture_is_another_try(tmp_path: Path, status: str) -> None:
    async with transferring(tmp_path, http(b"", status, length=-1)) as (_, transfer):
        assert f"answers {status[:3]} where a picture was expected" in str(await broken(transfer))


async def test_what_is_no_http_is_another_try(tmp_path: Path) -> None:
    async with transferring(tmp_path, b"garbage\r\n\r\n" * 9) as (_, transfer):
        assert "no proper HTTP answer" in str(await broken(transfer))


# What is too large or too slow.


async def test_a_length_over_the_cap_fails_at_once(tmp_path: Path) -> None:
    async def wait(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(http(b"", length=50 * 1024**3))
        await asyncio.sleep(60)

    async with transferring(tmp_path, wait) as (_, transfer):
        error = await given_up(transfer)
        assert (error.cause, str(error)) == ("bad-picture", "the picture for fox is larger than the 50 MiB allowed")


async def test_an_endless_picture_is_stopped_at_the_cap(tmp_path: Path) -> None:
    sent = 0

    async def flood(_: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(http(png(header()), length=-1))
        while True:  # extra chunks without end: nothing is wrong with the PNG so far
            writer.write(EXTRA)
            sent += len(EXTRA)
            await writer.drain()

    async with transferring(tmp_path, flood, max_bytes=3_000_000) as (_, transfer):
        error = await given_up(transfer)
    assert error.cause == "bad-picture"
    assert sent < 40_000_000
    assert pictures(tmp_path) == []


async def test_bytes_in_the_answer_are_capped_as_well(tmp_path: Path) -> None:
    async with downloading(tmp_path, max_bytes=len(BIG) - 1) as downloads:
        with downloads.transfer(GeneratedImage(data=BIG), "fox", lambda *_: True) as transfer:
            assert "larger than" in str(await given_up(transfer))


class Clock:
    """Ten seconds pass whenever anybody looks."""

    def __init__(self, step: float = 10.0) -> None:
        self.now = 0.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


async def drip(_: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(http(b"", length=len(PNG), ETag='"v1"'))
    # The first bytes are held back until they tell what they are; a transfer of fewer is not worth continuing.
    for piece in (PNG[:12], *(bytes([byte]) for byte in PNG[12:])):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.001)


async def test_a_drip_is_cut_off_after_the_window_and_goes_on_later(tmp_path: Path) -> None:
    async with transferring(tmp_path, drip, ranged(len(PNG), PNG), clock=Clock()) as (cdn, transfer):
        assert "sends less than 1000 bytes a second" in str(await broken(transfer))
        await transfer.attempt()
    assert cdn.asked[1].headers["Range"].startswith("bytes=")


async def test_a_fast_server_is_not_cut_off_however_long_it_takes(tmp_path: Path) -> None:
    async with transferring(tmp_path, drip, min_rate=0.001, clock=Clock()) as (_, transfer):
        await transfer.attempt()


@pytest.mark.parametrize(("window", "timeout"), [(0.05, 60.0), (30.0, 0.05)])
async def test_a_server_that_falls_silent_is_given_up_in_time(tmp_path: Path, window: float, timeout: float) -> None:
    async def stall(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(http(BIG[:HALF], length=len(BIG), ETag='"v1"'))
        await asyncio.sleep(60)

    async with transferring(tmp_path, stall, ranged(len(BIG)), window=window, timeout=timeout) as (cdn, transfer):
        assert "it took too long" in str(await broken(transfer))
        await transfer.attempt()
    assert cdn.asked[1].headers["Range"] == f"bytes={HALF}-"


# What the disk refuses, and the end.


async def test_a_full_disk_stops_the_run_and_leaves_no_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with transferring(tmp_path, http(BIG)) as (_, transfer):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail_with_no_space)
            with pytest.raises(StorageFailed, match="the disk is full"):
                await transfer.attempt()
    assert pictures(tmp_path) == []


def fail_with_no_space(fd: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_a_cancelled_transfer_leaves_no_partial_file(tmp_path: Path) -> None:
    async def stall(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(http(BIG[:HALF], length=len(BIG)))
        await asyncio.sleep(60)

    async with transferring(tmp_path, stall) as (_, transfer):
        with anyio.move_on_after(0.05) as scope:
            await transfer.attempt()
        assert scope.cancelled_caught
        assert len(pictures(tmp_path)) == 1
    assert pictures(tmp_path) == []


async def test_a_transfer_that_was_never_begun_can_be_closed(tmp_path: Path) -> None:
    async with transferring(tmp_path, http()) as (cdn, _):
        pass
    assert cdn.connections == 0
