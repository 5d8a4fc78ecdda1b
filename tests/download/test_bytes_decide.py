"""What came decides, whatever a label says: pages, foreign formats, flaws, codings, and bytes after the end."""

import hashlib
from pathlib import Path

import pytest

from pipeline.errors import DownloadBroken, GiveUp
from tests.download.cdn import http, pictures, transferring
from tests.picture.samples import EOI, IDAT, IEND, JPEG, PNG, SCAN, SOI, SOS, WEBP, chunk, drawn, frame, header, png

BIG = drawn("PNG")
QUARANTINE = ".pipeline/quarantine"


@pytest.mark.parametrize(
    "tail", [b"\n", bytes(64), JPEG, b"PK\x03\x04" + bytes(99), b"<!-- cached -->", bytes(200_000)]
)
@pytest.mark.parametrize("whole", [PNG, JPEG, WEBP], ids=["png", "jpeg", "webp"])
async def test_a_picture_with_bytes_after_its_end_is_saved_as_it_came(
    tmp_path: Path, whole: bytes, tail: bytes
) -> None:
    async with transferring(tmp_path, http(whole + tail)) as (cdn, transfer):
        image = await transfer.attempt()
    assert (tmp_path / image.path).read_bytes() == whole + tail
    assert (image.sha256, image.bytes) == (hashlib.sha256(whole + tail).hexdigest(), len(whole + tail))
    assert len(cdn.asked) == 1


async def test_bytes_after_the_end_are_counted_against_the_cap(tmp_path: Path) -> None:
    async with transferring(tmp_path, http(PNG + bytes(9000), length=-1), max_bytes=5000) as (_, transfer):
        with pytest.raises(GiveUp, match="larger than"):
            await transfer.attempt()


PAGES = {
    "html": b"<!doctype html><title>Just a moment...</title>",
    "json": b'{"message": "not found"}',
    "xml": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "txt": b"upstream connect error",
}


@pytest.mark.parametrize("suffix", PAGES)
@pytest.mark.parametrize("kind", ["image/png", "text/html; charset=utf-8"])
async def test_a_page_in_the_pictures_place_is_a_refusal_and_kept(tmp_path: Path, suffix: str, kind: str) -> None:
    page = http(PAGES[suffix], Content_Type=kind)
    async with transferring(tmp_path, page) as (_, transfer):
        for _ in range(3):
            with pytest.raises(DownloadBroken, match="in the picture's place") as caught:
                await transfer.attempt()
            assert (caught.value.refused, caught.value.cause) == (True, "download")
    assert pictures(tmp_path) == [f"{QUARANTINE}/fox.{suffix}"]
    assert (tmp_path / QUARANTINE / f"fox.{suffix}").read_bytes() == PAGES[suffix]


async def test_a_page_that_gives_way_to_the_picture_leaves_nothing(tmp_path: Path) -> None:
    async with transferring(tmp_path, http(PAGES["html"], ETag='"v1"'), http(PNG)) as (cdn, transfer):
        with pytest.raises(DownloadBroken):
            await transfer.attempt()
        await transfer.attempt()
    assert "Range" not in cdn.asked[1].headers
    assert pictures(tmp_path) == ["fox.png"]


async def test_of_a_long_page_the_beginning_is_kept(tmp_path: Path) -> None:
    async with transferring(tmp_path, http(b"<html>" + b"x" * 3_000_000)) as (_, transfer):
        with pytest.raises(DownloadBroken, match="an HTML page"):
            await transfer.attempt()
    assert 64 * 1024 <= (tmp_path / QUARANTINE / "fox.html").stat().st_size < 1_000_000


async def test_nothing_in_the_pictures_place_is_a_refusal_however_often(tmp_path: Path) -> None:
    async with transferring(tmp_path, http(b"")) as (_, transfer):
        for _ in range(3):
            with pytest.raises(DownloadBroken, match="sends nothing in the picture's place") as caught:
                await transfer.attempt()
            assert caught.value.refused
    assert pictures(tmp_path) == []


FILES = {
    "avif": b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miaf" + bytes(300),
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(300),
    "gif": b"GIF89a\1\0\1\0\x80\0\0" + bytes(30),
    "tif": b"II*\0\x08\0\0\0" + bytes(30),
    "bmp": b"BM\x46\0\0\0\0\0\0\0\x36\0" + bytes(30),
    "jxl": b"\xff\x0a\xfa\x1f" + bytes(30),
    "jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(30),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "pdf": b"%PDF-1.7\n",
    "zip": b"PK\x03\x04" + bytes(30),
    "mp4": b"\0\0\0\x20ftypisom" + bytes(30),
}


@pytest.mark.parametrize("suffix", FILES)
async def test_a_file_in_another_format_is_kept_under_its_suffix_after_one_get(tmp_path: Path, suffix: str) -> None:
    async with transferring(tmp_path, http(FILES[suffix], Content_Type="image/png")) as (cdn, transfer):
        with pytest.raises(GiveUp, match=f"it is kept as {QUARANTINE}/fox.{suffix}$") as caught:
            await transfer.attempt()
        assert (caught.value.cause, len(cdn.asked)) == ("bad-picture", 1)
    assert (tmp_path / QUARANTINE / f"fox.{suffix}").read_bytes() == FILES[suffix]
    assert pictures(tmp_path) == [f"{QUARANTINE}/fox.{suffix}"]


async def test_a_second_file_of_the_same_name_does_not_push_the_first_out_of_quarantine(tmp_path: Path) -> None:
    for extra in (b"", b"", b"another"):
        async with transferring(tmp_path, http(FILES["avif"] + extra)) as (_, transfer):
            with pytest.raises(GiveUp):
                await transfer.attempt()
    first, second = sorted((tmp_path / QUARANTINE).iterdir(), key=lambda path: len(path.name))
    assert (first.name, first.read_bytes()) == ("fox.avif", FILES["avif"])
    assert (second.suffix, second.read_bytes()) == (".avif", FILES["avif"] + b"another")


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (BIG[:-1], "png"),
        (BIG[:80] + bytes([BIG[80] ^ 1]) + BIG[81:], "png"),
        (JPEG[:-2], "jpg"),
        (png(header(1024, 1024, 8, 2), IDAT, IEND), "png"),
        (b"\0\1\2\3\4\5\6\7" * 40, "bin"),
    ],
)
async def test_the_same_bytes_twice_will_not_change(tmp_path: Path, data: bytes, suffix: str) -> None:
    async with transferring(tmp_path, http(data)) as (cdn, transfer):
        with pytest.raises(DownloadBroken) as caught:
            await transfer.attempt()
        assert (caught.value.cause, caught.value.refused) == ("download", False)
        with pytest.raises(GiveUp, match=f"it is kept as {QUARANTINE}/fox.{suffix}$") as given_up:
            await transfer.attempt()
        assert (given_up.value.cause, len(cdn.asked)) == ("bad-picture", 2)
    assert (tmp_path / QUARANTINE / f"fox.{suffix}").read_bytes() == data


async def test_a_body_whose_end_nothing_proves_is_cut_off_however_often_it_comes(tmp_path: Path) -> None:
    async with transferring(tmp_path, http(BIG[:-9], length=-1)) as (_, transfer):
        for _ in range(4):
            with pytest.raises(DownloadBroken, match="cut off") as caught:
                await transfer.attempt()
            assert (caught.value.cause, caught.value.refused) == ("download", False)


FLAWED = {
    "png": png(header(), chunk(b"tEXt", b"a\0b")[:-1] + b"?", IDAT, IEND),
    "jpg": SOI + b"\xff\xe0\0\2stray" + frame() + SOS + SCAN + EOI,
}


@pytest.mark.parametrize("suffix", FLAWED)
async def test_a_flaw_that_decoders_forgive_is_forgiven_once_the_same_bytes_come_again(
    tmp_path: Path, suffix: str
) -> None:
    async with transferring(tmp_path, http(FLAWED[suffix])) as (cdn, transfer):
        with pytest.raises(DownloadBroken, match="may be damaged"):
            await transfer.attempt()
        assert (await transfer.attempt()).path == f"fox.{suffix}"
    assert len(cdn.asked) == 2


async def test_a_flaw_that_the_transfer_has_made_is_gone_the_next_time(tmp_path: Path) -> None:
    sound = png(header(), chunk(b"tEXt", b"a\0b"), IDAT, IEND)
    async with transferring(tmp_path, http(FLAWED["png"]), http(sound)) as (_, transfer):
        with pytest.raises(DownloadBroken):
            await transfer.attempt()
        assert (await transfer.attempt()).sha256 == hashlib.sha256(sound).hexdigest()


@pytest.mark.parametrize("status", ["201 Created", "203 Transformed"])
async def test_a_picture_is_a_picture_whatever_success_is_called(tmp_path: Path, status: str) -> None:
    async with transferring(tmp_path, http(PNG, status)) as (_, transfer):
        assert (await transfer.attempt()).path == "fox.png"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"X-Long: {'x' * 200_000}", "a line of its head is too long"),
        ("\r\n".join(["X-Many: x"] * 20_000), "."),
        ("Content-Length: 91", "it names its length twice"),
        ("Content-Length: 9, 9", "it names its length twice|the length that it names is no number"),
        ("X Y: z", "a header field of it has a name or a value that none may have"),
        ("X: a\0b", "a header field of it has a name or a value that none may have"),
        ("Transfer-Encoding: chunked", "it names its length in two ways|its head or its framing"),
    ],
)
async def test_an_answer_that_is_no_http_is_named_by_its_reason(tmp_path: Path, line: str, words: str) -> None:
    raw = http().replace(b"Connection", line.encode() + b"\r\nConnection")
    async with transferring(tmp_path, raw) as (_, transfer):
        with pytest.raises(DownloadBroken, match=words) as caught:
            await transfer.attempt()
    assert (caught.value.refused, caught.value.cause) == (False, "download")
    assert "Error" not in str(caught.value)
    assert "xxx" not in str(caught.value)
