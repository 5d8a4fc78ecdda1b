import pytest

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
