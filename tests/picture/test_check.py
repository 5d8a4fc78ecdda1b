import gc
import weakref
from io import BytesIO
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.picture import BrokenPicture, Picture, PictureCheck, recognise
from tests.picture.samples import EOI, IEND, JPEG, PNG, WEBP, drawn

SAMPLES = {"png": PNG, "jpeg": JPEG, "webp": WEBP}
KINDS = {
    "png": Picture("image/png", ".png", 2, 3),
    "jpeg": Picture("image/jpeg", ".jpg", 2, 3),
    "webp": Picture("image/webp", ".webp", 2, 3),
}


def check(data: bytes, cuts: list[int] | None = None) -> Picture:
    one = PictureCheck()
    edges = [0, *sorted(cuts or []), len(data)]
    for start, end in pairwise(edges):
        one.feed(data[start:end])
    return one.finish()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_whole_picture_says_what_it_is(name: str) -> None:
    assert check(SAMPLES[name]) == KINDS[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_every_cut_of_a_picture_is_rejected(name: str) -> None:
    for end in range(len(SAMPLES[name])):
        with pytest.raises(BrokenPicture):
            check(SAMPLES[name][:end])


TAILS = {
    "a line feed": b"\n",
    "zeros": bytes(4096),
    "a second picture": JPEG,
    "an archive": b"PK\x03\x04" + bytes(80),
    "a page": b"<!-- served by cache 7 -->",
    "half a picture": PNG[:20],
    "a maker's data": b"\0\0\x01\x0aImage_UTC_Data1700000000000SEFH",
}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("tail", TAILS)
def test_bytes_after_the_end_do_not_make_a_picture_bad(name: str, tail: str) -> None:
    data = SAMPLES[name] + TAILS[tail]
    assert check(data) == check(data, list(range(len(data)))) == KINDS[name]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("tail", TAILS)
def test_a_decoder_shows_a_picture_with_bytes_after_its_end(form: str, tail: str) -> None:
    """What the check lets pass is what Pillow opens, to the last pixel."""
    data = drawn(form) + TAILS[tail]
    with Image.open(BytesIO(data)) as image:
        image.load()
        assert (image.width, image.height) == (check(data).width, check(data).height)


@settings(deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_how_the_network_cuts_the_stream_makes_no_difference(name: str, data: st.DataObject) -> None:
    sample = SAMPLES[name]
    cuts = data.draw(st.lists(st.integers(0, len(sample)), max_size=8))
    assert check(sample, cuts) == KINDS[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_byte_at_a_time_is_enough(name: str) -> None:
    assert check(SAMPLES[name], list(range(len(SAMPLES[name])))) == KINDS[name]


@settings(deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_broken_pictures_are_broken_however_they_are_cut(name: str, data: st.DataObject) -> None:
    sample = bytearray(SAMPLES[name])
    place = data.draw(st.integers(0, len(sample) - 1))
    sample[place] ^= data.draw(st.integers(1, 255))
    cuts = data.draw(st.lists(st.integers(0, len(sample)), max_size=8))
    assert outcome(bytes(sample), cuts) == outcome(bytes(sample), [])


def outcome(data: bytes, cuts: list[int]) -> Picture | None:
    """The picture; None where it is not sound, be it broken or of a flaw that decoders forgive."""
    try:
        picture = check(data, cuts)
    except BrokenPicture:
        return None
    return None if picture.flaw else picture


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_never_a_picture_and_never_a_crash(noise: bytes) -> None:
    for start in (b"", PNG[:8], JPEG[:3], WEBP[:12]):
        assert outcome(start + noise, []) is None or IEND in noise or EOI in noise


@pytest.mark.parametrize(
    ("form", "options", "kind"),
    [
        ("PNG", {}, "png"),
        ("PNG", {"optimize": True}, "png"),
        ("JPEG", {"quality": 95}, "jpeg"),
        ("JPEG", {"progressive": True}, "jpeg"),
        ("JPEG", {"restart_marker_blocks": 1}, "jpeg"),
        ("WEBP", {"quality": 80}, "webp"),
        ("WEBP", {"lossless": True}, "webp"),
        ("WEBP", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}, "webp"),
    ],
)
def test_real_encoders_write_whole_pictures(form: str, options: dict[str, object], kind: str) -> None:
    data = drawn(form, **options)
    assert check(data) == Picture(KINDS[kind].mime_type, KINDS[kind].suffix, 40, 30)
    for end in range(len(data)):
        assert outcome(data[:end], []) is None, end


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html><body>Gone</body>", "an HTML page"),
        (b"\xef\xbb\xbf\r\n <html>", "an HTML page"),
        (b"<head><title>502", "an HTML page"),
        (b'{"error": "expired"}', "JSON"),
        (b"[]", "JSON"),
        (b'"no"', "JSON"),
        (b'<?xml version="1.0"?><Error>AccessDenied', "an XML document"),
        (b"<Error><Code>AccessDenied", "an XML document"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG picture"),
        (b'<?xml version="1.0"?>\n<svg width="1">', "an SVG picture"),
        (b"GIF89a\1\0\1\0\x80\0\0", "a GIF picture"),
        (b"BM\x46\0\0\0\0\0\0\0\x36\0", "a BMP picture"),
        (b"II*\0\x08\0\0\0\0\0\0\0", "a TIFF picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "a PostScript document"),
        (b"%PDF-1.7\n%abcd", "a PDF document"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\3\0\0", "gzip-compressed data"),
        (b"\0\0\0\x20ftypavif\0\0", "an AVIF picture"),
        (b"\0\0\0\x20ftypmif1\0\0\0\0mif1avifmiafMA1B", "an AVIF picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC picture"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC picture"),
        (b"\0\0\0\x20ftypisom\0\0", "a video"),
        (b"\xff\x0a\xfa\x1f", "a JPEG XL picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
        (b"BMW, the car maker", "plain text"),
        (b'<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN">' + b" " * 300 + b"<svg>", "an SVG"),
        (b"<!DOCTYPE html><html><body><svg/>", "an HTML page"),
        (b"upstream connect error", "plain text"),
        (b"\0\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c", r"no PNG, JPEG or WebP \(it begins with 00 01 02 03 04 05 06 07\)"),
    ],
)
def test_what_is_no_picture_is_called_by_its_name(body: bytes, words: str) -> None:
    with pytest.raises(BrokenPicture, match=words):
        check(body)


def test_what_is_no_picture_is_rejected_by_its_first_kilobyte() -> None:
    one = PictureCheck()
    with pytest.raises(BrokenPicture, match="an HTML page"):
        one.feed(b"<!DOCTYPE html>" + b" " * 1009)
    assert one.foreign == recognise(b"<!DOCTYPE html>")


@pytest.mark.parametrize("head", [b"<?xml version='1.0'?>" + b" " * 90 + b"<svg/>", b"GIF89a" + bytes(99), b"\7" * 20])
def test_how_the_network_cuts_makes_no_difference_to_what_is_no_picture(head: bytes) -> None:
    found = set()
    for cut in range(0, len(head), 7):
        one = PictureCheck()
        for piece in (head[:cut], head[cut:]):
            one.feed(piece)
        with pytest.raises(BrokenPicture) as caught:
            one.finish()
        assert one.foreign
        found.add((str(caught.value), one.foreign.suffix))
    assert len(found) == 1


def test_what_a_server_says_instead_is_told_from_files_and_noise() -> None:
    heads = (b"", b"gone", b"<html>", b"{}", b"<Error/>", b"GIF89a", b"%PDF-1.7", b"<svg/>", b"\7\7\7")
    assert [recognise(head).kind for head in heads] == [*["page"] * 5, *["file"] * 3, "noise"]


def test_the_suffix_is_known_as_soon_as_the_first_bytes_are() -> None:
    one = PictureCheck()
    one.feed(PNG[:11])
    before = one.suffix
    one.feed(PNG[11:12])
    assert (before, one.suffix) == (None, ".png")
    with pytest.raises(BrokenPicture, match="it is a PNG that was cut off"):
        one.finish()


@pytest.mark.parametrize("data", [PNG, PNG[:-20]], ids=["whole", "cut off"])
def test_the_bytes_of_a_picture_are_let_go_with_its_check_and_not_by_the_garbage_collector(data: bytes) -> None:
    one = PictureCheck()
    one.feed(data)
    gone = weakref.ref(one)
    gc.disable()
    try:
        del one
        assert gone() is None
    finally:
        gc.enable()
