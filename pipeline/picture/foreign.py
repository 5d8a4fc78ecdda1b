"""What bytes are that are no PNG, JPEG or WebP: told by their first bytes, as `file` does, whatever a label says."""

import codecs
from dataclasses import dataclass
from typing import Literal

LOOK = 1024
"""First bytes that are looked at."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """What something else than a picture of the three formats is.

    Attributes:
        words: Its name, to follow "it is".
        suffix: The suffix that its file gets, with the dot.
        kind: `file` where somebody sends this on purpose, in a format of its own; `page` where a server talks instead
            of sending a picture, or sends nothing; `noise` where the bytes say nothing.
    """

    words: str
    suffix: str
    kind: Literal["file", "page", "noise"]


_FILES = (
    (b"GIF8", "a GIF picture", ".gif"),
    (b"BM", "a BMP picture", ".bmp"),
    (b"II*\0", "a TIFF picture", ".tif"),
    (b"MM\0*", "a TIFF picture", ".tif"),
    (b"II+\0", "a TIFF picture", ".tif"),
    (b"MM\0+", "a TIFF picture", ".tif"),
    (b"\xff\x0a", "a JPEG XL picture", ".jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture", ".jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture", ".jp2"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture", ".j2k"),
    (b"\0\0\1\0", "an icon", ".ico"),
    (b"8BPS\0", "a Photoshop picture", ".psd"),
    (b"qoif", "a QOI picture", ".qoi"),
    (b"v/1\1", "an OpenEXR picture", ".exr"),
    (b"DDS ", "a DDS texture", ".dds"),
    (b"%PDF", "a PDF document", ".pdf"),
    (b"%!PS", "a PostScript document", ".eps"),
    (b"PK\x03\x04", "a ZIP archive", ".zip"),
    (b"\x1f\x8b", "gzip-compressed data", ".gz"),
    (b"\x1aE\xdf\xa3", "a video", ".webm"),
)
_TEXTS = (
    (b"<svg", "an SVG picture", ".svg"),
    (b"<!doctype svg", "an SVG picture", ".svg"),
    (b"<!doctype", "an HTML page", ".html"),
    (b"<h", "an HTML page", ".html"),
    (b"<!--", "an HTML page", ".html"),
    (b"<?xml", "an XML document", ".xml"),
    (b"<", "an XML document", ".xml"),
    (b"{", "JSON", ".json"),
    (b"[", "JSON", ".json"),
    (b'"', "JSON", ".json"),
)
_SVG = Foreign("an SVG picture", ".svg", "file")
_HTML = b"<html", b"<body", b"<!doctype html"


def recognise(head: bytes) -> Foreign:
    """What the first bytes (`LOOK` of them, or all there are) belong to."""
    if not head:
        return Foreign("empty", "", "page")
    for start, words, suffix in _FILES:
        if head.startswith(start) and (start != b"BM" or not _is_text(head)):
            return Foreign(words, suffix, "file")
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<svg" in text and text.startswith(b"<") and not any(tag in text for tag in _HTML):
        return _SVG
    for start, words, suffix in _TEXTS:
        if text.startswith(start):
            return _SVG if suffix == ".svg" else Foreign(words, suffix, "page")
    if _is_text(head):
        return Foreign("plain text", ".txt", "page")
    return Foreign(f"no PNG, JPEG or WebP (it begins with {head[:8].hex(' ')})", ".bin", "noise")


def _is_text(head: bytes) -> bool:
    """Whether bytes are text: without control codes, and UTF-8 or nearly ASCII."""
    if any(byte < 9 or 13 < byte < 32 for byte in head):
        return False
    try:
        # The last sign may be torn.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return sum(byte > 127 for byte in head) * 5 < len(head)
    return True


def _iso_media(head: bytes) -> Foreign:
    """An ISO base media file by its brands (ISO/IEC 14496-12, 4.3): the major one, then those it is compatible with."""
    size = int.from_bytes(head[:4])
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(size, len(head)), 4))]
    if any(brand in (b"avif", b"avis") for brand in brands):
        return Foreign("an AVIF picture", ".avif", "file")
    if any(brand[:2] in (b"he", b"mi", b"ms") for brand in brands[:1]) or b"heic" in brands:
        return Foreign("a HEIC picture", ".heic", "file")
    return Foreign("a video", ".mov" if brands[0] == b"qt  " else ".mp4", "file")
