"""A picture inside an answer, in base64: decoded piece by piece, as it is written to the disk."""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from pipeline.http.document import Span

PIECE = 256 * 1024
"""Characters that are decoded at once."""

LONGEST_HEAD = 1024
"""Characters of a data URI before its comma, at most."""

_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_NO_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]")
_DATA = re.compile(rb"\s*data:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    r"""A picture as the answer has it: base64 in either alphabet, with or without padding, or a data URI.

    Attributes:
        span: Where it stands in the answer.
        escaped: It is still as JSON writes it, with `\/` for a slash.
    """

    span: Span
    escaped: bool = False

    @classmethod
    def of(cls, text: str) -> "EncodedPicture":
        """The same for a string that has been parsed."""
        raw = text.encode("utf-8", "replace")
        return cls(Span(raw, 0, len(raw)))

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, piece by piece.

        Raises:
            ValueError: It can't be decoded; the message says why.
        """
        text = self._text()
        first = next(text, b"")
        plain, percent = False, False
        if _DATA.match(first):
            head, comma, first = first.partition(b",")
            if not comma or len(head) > LONGEST_HEAD:
                raise ValueError("it is a data URI without a comma")
            plain, percent = b";base64" not in head.lower().replace(b" ", b""), True
        blocks = _joined(first, text)
        blocks = _without_percent(blocks) if percent else blocks
        yield from blocks if plain else _decoded(blocks)

    def raw(self) -> Iterator[bytes]:
        """The text itself, piece by piece: what is kept of one that can't be decoded."""
        return self._text()

    def _text(self) -> Iterator[bytes]:
        """Its characters, unescaped."""
        at, size = 0, len(self.span)
        while at < size:
            piece = self.span.slice(at, at + PIECE)
            at += len(piece)
            if self.escaped and b"\\" in piece:
                # An escape is at most six characters; one that is cut in two waits for the next piece.
                whole = _whole_escapes(piece) if at < size else len(piece)
                at -= len(piece) - whole
                piece = json.loads(b'"' + piece[:whole] + b'"', strict=False).encode("utf-8", "replace")
            yield piece


def _joined(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _whole_escapes(piece: bytes) -> int:
    """How much of a piece ends before an escape that it does not hold whole."""
    last = piece.rfind(b"\\", max(0, len(piece) - 6))
    if last < 0:
        return len(piece)
    # Of several backslashes in a row, every second one begins an escape.
    first = last
    while first > 0 and piece[first - 1 : first] == b"\\":
        first -= 1
    begins = last if (last - first) % 2 == 0 else last - 1
    long = 6 if piece[begins + 1 : begins + 2] in (b"", b"u") else 2
    return begins if begins + long > len(piece) else len(piece)


def _without_percent(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Undo percent-encoding, whose three characters may lie in two pieces."""
    kept = b""
    for block in blocks:
        text = kept + block
        cut = text.rfind(b"%", max(0, len(text) - 2))
        kept = text[cut:] if cut >= 0 else b""
        yield unquote_to_bytes(text[: len(text) - len(kept)])
    yield unquote_to_bytes(kept)


def _decoded(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Undo base64; what follows its padding is not looked at but must not be more of it."""
    kept, ended = b"", False
    for block in blocks:
        text = kept + b"".join(block.translate(_URL_SAFE).split())
        strange = _NO_BASE64.search(text)
        if strange:
            raise ValueError(f"it holds {strange[0]!r}, which is not base64")
        text, padding, after = text.partition(b"=")
        if after.strip(b"=") or (ended and text):
            raise ValueError("it goes on after the end of its base64")
        ended = ended or bool(padding)
        whole = len(text) if ended else len(text) - len(text) % 4
        kept = text[whole:]
        yield _bytes(text[:whole])
    yield _bytes(kept)


def _bytes(text: bytes) -> bytes:
    # Some servers leave out the padding.
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise ValueError("its base64 is cut off") from None
