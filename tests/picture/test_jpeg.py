import pytest

from pipeline.picture import BrokenPicture
from tests.picture.samples import APP0, EOI, SCAN, SOI, SOS, frame, segment
from tests.picture.test_check import check, outcome

HUFFMAN = segment(0xC4, bytes(17))


def test_progressive_scans_tables_between_them_and_fill_bytes_are_fine() -> None:
    picture = check(
        SOI + APP0 + b"\xff\xff" + frame(400, 300, 0xC2) + SOS + SCAN + HUFFMAN + SOS + SCAN + b"\xff\xff" + EOI
    )
    assert (picture.width, picture.height) == (400, 300)


def test_a_thumbnail_inside_a_segment_is_not_the_end() -> None:
    thumbnail = SOI + frame(1, 1) + SOS + SCAN + EOI
    picture = check(SOI + segment(0xE1, b"Exif\0\0" + thumbnail) + frame(400, 300) + SOS + SCAN + EOI)
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
        (SOI + APP0 + b"stray" + frame(), "it has data between its segments"),
        (SOI + APP0 + SOI + frame(), "it has a marker FFD8 where none may be"),
        (SOI + frame() + SOS + SCAN + b"\xff\x01" + EOI, "it has a marker FF01 where none may be"),
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
