"""Content codings are undone where they are there, whatever the label says, and in little memory."""

import asyncio
import gzip
import hashlib
import importlib.util
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from pipeline.download.coding import Codings, TooLarge
from pipeline.errors import DownloadBroken, GiveUp
from pipeline.picture import BrokenPicture
from tests.download.cdn import Asked, http, pictures, transferring
from tests.picture.samples import JPEG, PNG, WEBP, drawn

BIG = drawn("PNG", compress_level=0)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZip": gzip.compress,
    "deflate": zlib.compress,
    "deflate ": raw_deflate,
    "gzip, gzip": lambda data: gzip.compress(gzip.compress(data)),
    "deflate, gzip": lambda data: gzip.compress(zlib.compress(data)),
    "gzip, deflate": lambda data: zlib.compress(gzip.compress(data)),
    "gzip, aws-chunked": gzip.compress,
    # Labels that do not say what is there.
    "identity": gzip.compress,
    "": gzip.compress,
    "utf-8": lambda data: gzip.compress(gzip.compress(data)),
    "gzip,gzip,gzip": gzip.compress,
}
if importlib.util.find_spec("brotli"):
    import brotli  # type: ignore[import-not-found,import-untyped,unused-ignore]

    PACK |= {"br": brotli.compress, "gzip, br": lambda data: brotli.compress(gzip.compress(data))}


def undo(label: str, data: bytes, step: int, limit: int = 10**8) -> bytes:
    codings = Codings([label], limit)
    pieces = [piece for at in range(0, len(data), step) for piece in codings.feed(data[at : at + step])]
    return b"".join([*pieces, *codings.finish()])


@pytest.mark.parametrize("label", PACK)
@pytest.mark.parametrize("step", [1, 7, 13, 100_000])
@pytest.mark.parametrize("data", [BIG, PNG, JPEG, WEBP], ids=["big", "png", "jpeg", "webp"])
def test_what_was_coded_comes_back_however_it_is_cut(label: str, step: int, data: bytes) -> None:
    assert undo(label, PACK[label](data), step) == data


LABELS = [
    "utf-8",
    "binary",
    "none",
    "aws-chunked",
    "gzip",
    "deflate",
    "br",
    "zstd",
    "x-gzip",
    "identity",
    "",
    ",,",
    "é",
]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("step", [1, 5, 100_000])
def test_a_label_on_bytes_that_are_a_picture_already_is_passed_over(label: str, step: int) -> None:
    for data in (BIG, JPEG, WEBP, b"GIF89a" + bytes(99), b"<html>gone"):
        assert undo(label, data, step) == data


def test_bytes_behind_a_coding_are_padding_and_a_second_member_goes_on() -> None:
    assert undo("gzip", gzip.compress(BIG[:99]) + gzip.compress(BIG[99:]) + bytes(50), 11) == BIG
    assert undo("deflate", zlib.compress(BIG) + b"\n", 11) == BIG


@pytest.mark.parametrize("label", ["gzip", "deflate"])
def test_a_damaged_coding_is_noticed(label: str) -> None:
    packed = bytearray(PACK[label](BIG))
    packed[len(packed) // 2] ^= 0x55
    with pytest.raises(BrokenPicture, match=f"its {label} coding is damaged"):
        undo(label, bytes(packed), 50)


@cache
def bomb(layers: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    data = b"".join([*(packer.compress(bytes(1_000_000)) for _ in range(80)), packer.flush()])
    for _ in range(layers - 1):
        data = gzip.compress(data)
    return data


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_bomb_stops_at_the_cap_with_flat_memory(layers: int) -> None:
    data = bomb(layers)
    tracemalloc.start()
    try:
        sizes: list[int] = []
        with pytest.raises(TooLarge):
            sizes.extend(map(len, Codings(["gzip"], 50_000_000).feed(data)))
        assert sum(sizes) <= 50_000_000
        assert tracemalloc.get_traced_memory()[1] < 4_000_000 + 2 * len(data)
    finally:
        tracemalloc.stop()


def test_a_coding_that_brings_nothing_forth_stops_at_the_cap_as_well() -> None:
    """Empty blocks without end inside another coding: none of it ever comes out."""
    packer = zlib.compressobj(9, wbits=31)
    inner = gzip.compress(b"")[:10] + b"\0\0\0\xff\xff" * 2_000_000
    data = packer.compress(inner) + packer.flush()
    assert len(data) < 100_000
    with pytest.raises(TooLarge):
        list(Codings(["gzip"], 1_000_000).feed(data))


@pytest.mark.parametrize("label", ["gzip", "deflate", "gzip, gzip", "utf-8"])
async def test_size_and_digest_are_those_of_the_picture_and_not_of_its_coding(tmp_path: Path, label: str) -> None:
    pack = PACK[label] if label != "utf-8" else lambda data: data
    async with transferring(tmp_path, http(pack(BIG), Content_Encoding=label, ETag='"v1"')) as (_, transfer):
        image = await transfer.attempt()
    assert (image.bytes, image.sha256) == (len(BIG), hashlib.sha256(BIG).hexdigest())
    assert (tmp_path / "fox.png").read_bytes() == BIG


def cut(data: bytes, at: int, **headers: str) -> bytes:
    return http(data[:at], length=len(data), ETag='"v1"', **headers)


async def test_what_was_undone_is_not_continued_by_range(tmp_path: Path) -> None:
    packed = gzip.compress(BIG)
    replies = cut(packed, len(packed) // 2, Content_Encoding="gzip"), http(packed, Content_Encoding="gzip")
    async with transferring(tmp_path, *replies) as (cdn, transfer):
        with pytest.raises(DownloadBroken, match="the connection was cut"):
            await transfer.attempt()
        assert (await transfer.attempt()).sha256 == hashlib.sha256(BIG).hexdigest()
    assert "Range" not in cdn.asked[1].headers


async def test_what_only_bears_a_label_is_continued(tmp_path: Path) -> None:
    half = len(BIG) // 2

    async def rest(asked: Asked, writer: asyncio.StreamWriter) -> None:
        given = f"bytes {half}-{len(BIG) - 1}/{len(BIG)}"
        writer.write(http(BIG[half:], "206 Partial", Content_Range=given, Content_Encoding="aws-chunked"))
        await writer.drain()

    async with transferring(tmp_path, cut(BIG, half, Content_Encoding="aws-chunked"), rest) as (cdn, transfer):
        with pytest.raises(DownloadBroken):
            await transfer.attempt()
        assert (await transfer.attempt()).sha256 == hashlib.sha256(BIG).hexdigest()
    assert cdn.asked[1].headers["Range"] == f"bytes={half}-"


async def test_a_bomb_on_the_wire_is_larger_than_allowed(tmp_path: Path) -> None:
    reply = http(bomb(2), Content_Encoding="gzip, gzip")
    async with transferring(tmp_path, reply, max_bytes=3_000_000) as (_, transfer):
        with pytest.raises(GiveUp, match="larger than") as caught:
            await transfer.attempt()
    assert caught.value.cause == "bad-picture"
    assert pictures(tmp_path) == []


@pytest.mark.parametrize(("coding", "cure"), [("br", "pip install 'brotli>=1.2'"), ("zstd", "no Python package")])
async def test_a_coding_that_cannot_be_undone_here_is_named_and_its_bytes_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coding: str, cure: str
) -> None:
    monkeypatch.setitem(sys.modules, "brotli", None)  # as where it is not installed
    packed = b"\x1b\x02\x8c\x01" + bytes(range(128, 256))
    async with transferring(tmp_path, http(packed, Content_Encoding=coding)) as (_, transfer):
        for _ in range(2):
            with pytest.raises(DownloadBroken, match=f"compressed as {coding}: {cure}") as caught:
                await transfer.attempt()
            assert (caught.value.cause, caught.value.refused) == ("download", False)
    assert (tmp_path / f".pipeline/quarantine/fox.{coding}").read_bytes() == packed
