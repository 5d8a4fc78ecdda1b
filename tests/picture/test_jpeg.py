from io import BytesIO

import pytest
from PIL import Image

from pipeline.picture import BrokenPicture
from tests.picture.samples import APP0, EOI, SCAN, SOI, SOS, frame, segment
from tests.picture.test_check import check, outcome

HUFFMAN = segment(0xC4, bytes(17))
LONG = SCAN * 20


def test_progressive_scans_tables_between_them_and_fill_bytes_are_fine() -> None:
    data = SOI + APP0 + b"\xff\xff" + frame(400, 300, 0xC2) + SOS + LONG + HUFFMAN + SOS + SCAN + b"\xff\xff" + EOI
    picture = check(data)
    assert picture.flaw is None
    assert (picture.width, picture.height) == (400, 300)


def test_a_thumbnail_inside_a_segment_is_not_the_end() -> None:
    thumbnail = SOI + frame(1, 1) + SOS + SCAN + EOI
    picture = check(SOI + segment(0xE1, b"Exif\0\0" + thumbnail) + frame(400, 300) + SOS + LONG + EOI)
    assert (picture.width, picture.height) == (400, 300)


def test_a_marker_torn_between_two_pieces_is_found() -> None:
    data = SOI + frame() + SOS + SCAN + EOI
    for cut in range(len(data)):
        assert outcome(data, [cut, cut + 1 if cut < len(data) else cut]) is not None, cut


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (SOI + APP0 + EOI, "its image data is missing"),
        (SOI + frame() + EOI + bytes(9), "its image data is missing"),
        (SOI + APP0 + SOS + SCAN + EOI, "its image data comes before its size"),
        (SOI + frame() + frame() + SOS + SCAN + EOI, "it has two frame headers"),
        (SOI + APP0 + SOI + frame(), "another picture begins in the middle of it"),
        (SOI + APP0 + b"stray" + SOI + frame(), "another picture begins in the middle of it"),
        (SOI + APP0 + b"stray" * 99, "it is a JPG that was cut off"),
        (SOI + frame(1024, 1024) + SOS + b"ten bytes." + EOI, "its image data is 10 bytes, too few for 1024x1024"),
        (SOI + segment(0xC0, b"\x08\0\1\0\1\0") + SOS + SCAN + EOI, "its frame header is damaged"),
        (SOI + b"\xff\xe0\0\1" + bytes(9), "a segment in it is damaged"),
        (SOI + segment(0xC0, b"\x08\0\1\0\1\2abc") + EOI, "its frame header is damaged"),
        (SOI + segment(0xC0, b"\x08\0") + bytes(9), "its frame header is damaged"),
        (SOI + frame(0, 5) + SOS, "its size is 0x5"),
        (SOI + frame(65_535, 65_535) + SOS, "over the 64 megapixels allowed"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, words: str) -> None:
    with pytest.raises(BrokenPicture, match=words):
        check(data)


@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        (SOI + APP0 + b"stray" + frame() + SOS + SCAN + EOI, "it has data between its segments"),
        (SOI + b"\xff\x01" + frame() + SOS + SCAN + EOI, "it has a marker FF01 where none may be"),
        (SOI + frame() + SOS + SCAN + b"\xff\x01" + EOI, "it has a marker FF01 where none may be"),
        (SOI + frame() + b"\xff\0" + b"\xff\xd3" + SOS + SCAN + EOI, "it has a marker FF00 where none may be"),
        (SOI + frame() + SOS + SCAN + EOI, None),
    ],
)
def test_what_decoders_skip_between_segments_is_a_flaw(data: bytes, flaw: str | None) -> None:
    for cuts in ([], list(range(len(data)))):
        assert (check(data, cuts).flaw, check(data, cuts).width) == (flaw, 2)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"progressive": True, "quality": 1, "optimize": True},
        {"quality": 1, "optimize": True, "subsampling": 2},
        {"restart_marker_blocks": 1},
        {"qtables": "web_low"},
    ],
)
def test_no_jpeg_of_one_colour_has_too_few_bytes(mode: str, options: dict[str, object]) -> None:
    for size in ((1, 1), (9, 7), (1000, 1000), (4096, 2160)):
        file = BytesIO()
        Image.new(mode, size).save(file, "JPEG", **options)
        picture = check(file.getvalue())
        assert (picture.width, picture.height, picture.flaw) == (*size, None)


def test_a_frame_of_arithmetic_coding_may_be_as_small_as_it_likes() -> None:
    assert check(SOI + frame(4000, 3000, 0xC9) + SOS + b"x" + EOI).width == 4000
