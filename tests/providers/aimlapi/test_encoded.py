import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.http.document import Span
from pipeline.providers.aimlapi.encoded import PIECE, EncodedPicture

DATA = random.Random(7).randbytes(3 * PIECE + 1)


def spelled(data: bytes) -> list[str]:
    """The ways to write bytes in an answer."""
    plain, safe = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
    percent = plain.replace("+", "%2B").replace("/", "%2f").replace("=", "%3D")
    return [
        *(plain, plain.rstrip("="), safe, safe.rstrip("="), base64.encodebytes(data).decode()),
        *(f"data:image/png;base64,{plain}", f"DATA:;BASE64,{safe}", f"data:image/png;base64,{percent}"),
    ]


@pytest.mark.parametrize("way", range(8))
def test_a_picture_longer_than_a_piece_is_decoded_in_every_spelling(way: int) -> None:
    pieces = list(EncodedPicture.of(spelled(DATA)[way]).pieces())
    assert b"".join(pieces) == DATA
    assert max(map(len, pieces)) <= PIECE


@given(st.binary(max_size=300))
def test_bytes_come_back_as_they_were_in_every_spelling(data: bytes) -> None:
    for text in spelled(data):
        assert b"".join(EncodedPicture.of(text).pieces()) == data


@pytest.mark.parametrize("shift", range(9))
def test_escapes_that_lie_across_two_pieces_are_undone(shift: int) -> None:
    data = b"\xff\xef\xbe" * PIECE
    text = " " * shift + base64.b64encode(data).decode()
    raw = text.replace("/", "\\/").replace("+", "\\u002b").encode()
    assert b"".join(EncodedPicture(Span(raw, 0, len(raw)), escaped=True).pieces()) == data


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("QUJD@", "'@', which is not base64"),
        ("QUJDR", "cut off"),
        ("QUI=QUI=", "goes on after the end"),
        ("data:image/png;base64", "without a comma"),
        ("data:" + "x" * 2_000 + ",QUJD", "without a comma"),
    ],
)
def test_what_can_not_be_decoded_says_why_and_keeps_its_text(text: str, why: str) -> None:
    picture = EncodedPicture.of(text)
    with pytest.raises(ValueError, match=why):
        list(picture.pieces())
    assert b"".join(picture.raw()) == text.encode()
