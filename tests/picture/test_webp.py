import struct
from io import BytesIO

import pytest
from PIL import Image

from pipeline.picture import BrokenPicture
from tests.picture.samples import WEBP, riff, vp8, vp8l, vp8x
from tests.picture.test_check import check


@pytest.mark.parametrize(
    "data",
    [
        riff(vp8(1408, 768)),
        riff(vp8l(1408, 768)),
        riff(vp8x(1408, 768), (b"ICCP", b"odd"), vp8(1408, 768), (b"XMP ", b"<x/>")),
        riff(vp8x(1408, 768), (b"ANIM", bytes(6)), (b"ANMF", bytes(40)), (b"ANMF", bytes(41))),
    ],
)
def test_all_three_layouts_say_their_size(data: bytes) -> None:
    picture = check(data)
    assert (picture.width, picture.height) == (1408, 768)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (riff(), "its image data is missing"),
        (riff(vp8x()), "its image data is missing"),
        (riff((b"ICCP", bytes(20)), vp8()), "its first chunk is none of VP8, VP8L and VP8X"),
        (riff((b"VP8 ", b"short")), "its first chunk is none of VP8, VP8L and VP8X"),
        (riff((b"VP8 ", bytes(20))), "its VP8 chunk is damaged"),
        (riff((b"VP8 ", b"\0" + vp8()[1][1:])), "its VP8 chunk is damaged"),
        (riff((b"VP8 ", b"\x18" + vp8()[1][1:])), "its VP8 chunk is damaged"),
        (riff((b"VP8 ", b"\x10\x10\0" + vp8()[1][3:])), "its VP8 chunk is damaged"),
        (riff((b"VP8 ", b"\x11" + vp8()[1][1:])), "its VP8 chunk is damaged"),
        (riff((b"VP8L", bytes(20))), "its VP8L chunk is damaged"),
        (riff((b"VP8L", b"\x2f\xff\xff\xff\xff" + bytes(9))), "its VP8L chunk is damaged"),
        (riff(vp8(0, 5)), "its size is 0x5"),
        (riff(vp8x(1 << 24, 1 << 24), vp8()), "over the 64 megapixels allowed"),
        (WEBP[:16] + b"\xff" + WEBP[17:], "a chunk in it is longer than the file"),
        (riff(vp8(), form=b"WAVE"), "no PNG, JPEG or WebP"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, words: str) -> None:
    with pytest.raises(BrokenPicture, match=words):
        check(data)


def resized(data: bytes, by: int) -> bytes:
    """The file with another size declared in its RIFF header."""
    return data[:4] + struct.pack("<I", struct.unpack("<I", data[4:8])[0] + by) + data[8:]


@pytest.mark.parametrize("extra", range(1, 8))
def test_padding_that_was_counted_in_is_no_chunk(extra: int) -> None:
    assert check(resized(WEBP, extra) + bytes(extra)).width == 2
    with pytest.raises(BrokenPicture, match="cut off"):
        check(resized(WEBP, extra) + bytes(extra - 1))


def test_the_pad_byte_of_the_last_chunk_may_be_missing() -> None:
    odd = riff(vp8x(), vp8(), (b"XMP ", b"odd"))
    assert check(resized(odd[:-1], -1)).width == 2
    with pytest.raises(BrokenPicture, match="cut off"):
        check(odd[:-1])


@pytest.mark.parametrize("options", [{"quality": 1}, {"lossless": True}, {"lossless": True, "quality": 100}])
def test_no_webp_of_one_colour_has_too_few_bytes(options: dict[str, object]) -> None:
    for size in ((1, 1), (1000, 1000), (4096, 2160)):
        file = BytesIO()
        Image.new("RGBA", size).save(file, "WEBP", **options)
        assert (check(file.getvalue()).width, check(file.getvalue()).height) == size
