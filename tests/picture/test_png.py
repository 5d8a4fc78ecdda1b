import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image

from pipeline.picture import BrokenPicture
from tests.picture.samples import IDAT, IEND, PNG, chunk, header, png
from tests.picture.test_check import check, outcome


def test_every_bit_flip_is_noticed() -> None:
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
        (png(header(), header(), IDAT, IEND), "it has two headers"),
        (png(header(), chunk(b"IDAT", b"no zlib stream"), IEND), "its image data is not compressed as a PNG's is"),
        (png(header(), chunk(b"IDAT", b"\x78"), IEND), "its image data is not compressed"),
        (png(header(), chunk(b"IDAT", zlib.compress(b"", wbits=-15)), IEND), "its image data is not compressed"),
        (png(header(1024, 1024, 8, 2), IDAT, IEND), "its image data is 13 bytes, too few for 1024x1024"),
        (png(header(1024, 1024, 1, 0), IDAT[:-4] + b"abcd", IEND), "the checksum of its IDAT chunk is wrong"),
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


@pytest.mark.parametrize("side", [1, 2, 64, 1000, 4000])
@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("optimize", [False, True])
def test_no_picture_of_one_colour_has_too_few_bytes(side: int, mode: str, optimize: bool) -> None:
    """The least that an encoder makes of a size is enough for it."""
    file = BytesIO()
    Image.new(mode, (side, 3)).save(file, "PNG", optimize=optimize)
    assert check(file.getvalue()).flaw is None


def test_what_deflate_makes_of_the_largest_blank_picture_is_enough() -> None:
    packer, row = zlib.compressobj(9), bytes(1 + 4000 * 4)
    data = b"".join([*(packer.compress(row) for _ in range(4000)), packer.flush()])
    assert check(png(header(4000, 4000, 8, 6), chunk(b"IDAT", data), IEND)).width == 4000


@pytest.mark.parametrize("extra", [b"ABCD", b"iCCP", b"tEXt", b"acTL"])
def test_chunks_that_decoders_skip_are_skipped(extra: bytes) -> None:
    data = png(header(), chunk(extra, b"any"), IDAT, chunk(extra), IEND)
    assert check(data).flaw is None


def test_an_end_with_something_in_it_is_an_end() -> None:
    assert check(png(header(), IDAT, chunk(b"IEND", b"x"))).width == 2


def test_a_wrong_checksum_of_what_decoders_skip_is_a_flaw() -> None:
    text = chunk(b"tEXt", b"Title\0fox")
    picture = check(png(header(), text[:-1] + b"?", IDAT, IEND))
    assert (picture.width, picture.flaw) == (2, "the checksum of its tEXt chunk is wrong")


def test_an_animated_png_is_a_png() -> None:
    file = BytesIO()
    frames = [Image.new("RGB", (9, 9), (n, n, n)) for n in range(0, 250, 50)]
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    assert b"fdAT" in file.getvalue()
    assert check(file.getvalue()).flaw is None
