"""The check of one picture, whichever of the three formats it is in."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.picture import jpeg, png, webp
from pipeline.picture.source import BrokenPicture, Picture, Source, Steps

_HEAD = 12
"""Bytes that tell the three formats, and most of what is none of them, apart."""

_OTHERS = (
    (b"GIF8", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip-compressed data"),
)
_TEXTS = (
    (b"<svg", "an SVG picture"),
    (b"<!doctype", "an HTML page"),
    (b"<h", "an HTML page"),
    (b"<!--", "an HTML page"),
    (b"<?xml", "an XML document"),
    (b"<", "an XML document"),
    (b"{", "JSON"),
    (b"[", "JSON"),
    (b'"', "JSON"),
)


class PictureCheck:
    """Fed a picture piece by piece; objects as early as the bytes allow."""

    def __init__(self) -> None:
        self._source = Source()
        self._found = _Found()
        # It knows nothing of this object: a circle would keep the bytes fed last until the garbage collector comes.
        self._walk = _walk(self._source, self._found)

    @property
    def suffix(self) -> str | None:
        """`.png`, `.jpg` or `.webp` once the first bytes have said so; None before, and for anything else."""
        return self._found.suffix

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Check the next bytes.

        Raises:
            BrokenPicture: They can't belong to a whole picture. The check is over then.
        """
        self._source.feed(data)
        try:
            next(self._walk)
        except BrokenPicture:
            self._found.picture = None
            raise

    def finish(self) -> Picture:
        """What the picture is, now that all its bytes were fed.

        Raises:
            BrokenPicture: It was cut off, or `feed` has objected.
        """
        if self._found.picture is not None:
            return self._found.picture
        if self.suffix is None:
            raise BrokenPicture(f"it is {describe(bytes(self._source.rest[:256]))}")
        raise BrokenPicture(f"it is a {self.suffix[1:].upper()} that was cut off")


@dataclass(slots=True)
class _Found:
    """What a walk has found out so far."""

    suffix: str | None = None
    picture: Picture | None = None


def _walk(source: Source, found: _Found) -> Steps[None]:
    """Read one picture of any format, and make sure that nothing comes after it."""
    found.suffix, walk = _format(source, (yield from source.peek(_HEAD)))
    found.picture = yield from walk(source)
    while not source.rest:
        yield
    raise BrokenPicture(f"there are bytes after its end ({found.picture.mime_type})")


def _format(source: Source, head: bytes) -> tuple[str, Callable[[Source], Steps[Picture]]]:
    if head.startswith(png.SIGNATURE):
        return ".png", png.walk
    if head.startswith(jpeg.SIGNATURE):
        return ".jpg", jpeg.walk
    if webp.is_webp(head):
        return ".webp", webp.walk
    raise BrokenPicture(f"it is {describe(bytes(source.rest[:256]))}")


def describe(head: bytes) -> str:
    """What bytes that are no PNG, JPEG or WebP look like, in words that fit after "it is"."""
    if not head:
        return "empty"
    for start, words in _OTHERS:
        if head.startswith(start):
            return words
    if head[4:8] == b"ftyp":
        return "an AVIF or HEIC picture" if head[8:10] in (b"av", b"he", b"mi") else "a video"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<svg" in text:
        return "an SVG picture"
    for start, words in _TEXTS:
        if text.startswith(start):
            return words
    if not any(byte < 9 or 13 < byte < 32 for byte in head):
        return "plain text"
    return f"no PNG, JPEG or WebP (it begins with {head[:8].hex(' ')})"
