import struct
import zlib

import pytest

from pipeline.picture import BrokenPicture
from tests.picture.samples import IDAT, IEND, PNG, chunk, header, png
from tests.picture.test_check import check, outcome


def test_every_bit_flip_is_rejected() -> None:
    for place in range(len(PNG)):
        for bit in range(8):
            flipped = bytearray(PNG)
            flipped[place] ^= 1 << bit
            assert outcome(bytes(flipped), []) is None, (place, bit)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png(IDAT, IEND), "its first chunk is no IHDR"),
        (png(chunk(b"IHDR", bytes(12)), IDAT, IEND), "its first chunk is no IHDR"),
        (png(header(), IEND), "its image data is missing"),
        (png(header(), chunk(b"IDAT"), IEND), "its image data is missing"),
        (png(header(), IDAT, chunk(b"IEND", b"x")), "its IEND chunk is not empty"),
        (png(header(), header(), IDAT, IEND), "its chunk IHDR is none that a PNG may have here"),
        (png(header(), chunk(b"ABCD"), IDAT, IEND), "its chunk ABCD is none"),
        (png(header(), chunk(b"a\0cd"), IDAT, IEND), "a chunk in it is damaged"),
        (png(header(), struct.pack(">I4s", 1 << 31, b"IDAT"), IEND), "a chunk in it is damaged"),
        (png(header(), IDAT[:-1] + b"\0", IEND), "the checksum of its IDAT chunk is wrong"),
        (png(header(width=0), IDAT, IEND), "its size is 0x3"),
        (png(header(30_000, 30_000), IDAT, IEND), "its size is 30000x30000, over the 64 megapixels allowed"),
        (png(header(depth=4, colour=2), IDAT, IEND), "its header asks for what no PNG has"),
        (png(header(colour=5), IDAT, IEND), "its header asks for what no PNG has"),
        (png(header(rest=b"\0\0\2"), IDAT, IEND), "its header asks for what no PNG has"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, words: str) -> None:
    with pytest.raises(BrokenPicture, match=words):
        check(data)


def test_palettes_split_data_and_unknown_extras_are_fine() -> None:
    body = zlib.compress(b"\0\1\2" * 3)
    split = [chunk(b"IDAT", body[:4]), chunk(b"IDAT"), chunk(b"IDAT", body[4:])]
    picture = check(png(header(colour=3), chunk(b"PLTE", bytes(9)), chunk(b"caBX", b"c2pa"), *split, IEND))
    assert (picture.width, picture.height) == (2, 3)


def test_a_pixel_bomb_is_rejected_before_its_data_has_come() -> None:
    with pytest.raises(BrokenPicture, match="megapixels"):
        check(png(header(30_000, 30_000)))
