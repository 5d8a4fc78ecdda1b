"""PNGs that are valid down to every checksum and every pixel, and say which item they are of.

All pictures share their pixels; what differs is a `tEXt` chunk before them that holds the item's number. So a server
can send any of them from one file, and what was delivered can be checked byte for byte.
"""

import random
import re
import struct
import zlib
from dataclasses import dataclass
from functools import cache

SIDE = 1024
"""Pixels of a large picture, either way: what Imagen makes for 1:1."""

LARGE = 1_500_000
"""Bytes of a large picture, about."""

IDAT = 8192
"""Bytes of one IDAT chunk: what libpng writes unless it is told otherwise."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NUMBER = re.compile(rb"tEXtitem\0(\d{7})")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


@dataclass(frozen=True, slots=True)
class Pictures:
    """All pictures of one size.

    Attributes:
        start: What every picture begins with.
        tail: What every picture ends with, pixels included.
    """

    start: bytes
    tail: bytes

    def head(self, number: int) -> bytes:
        """What comes before the tail in the picture of this item."""
        return self.start + _chunk(b"tEXt", b"item\0%07d" % number)

    @property
    def size(self) -> int:
        """Bytes of a picture; all have the same."""
        return len(self.head(0)) + len(self.tail)

    def number(self, data: bytes) -> int | None:
        """Which item's picture this is, or None where a single byte is not as it was sent."""
        found = _NUMBER.search(data, len(self.start), len(self.start) + 32)
        if not found:
            return None
        number = int(found[1])
        head = self.head(number)
        return number if len(data) == self.size and data.startswith(head) and data.endswith(self.tail) else None


def _pictures(side: int, noisy_rows: int) -> Pictures:
    """Pictures of `side` pixels; noise does not compress, so its rows decide how many bytes they have."""
    rng = random.Random(side)
    width = 3 * side
    rows = b"".join(b"\0" + (rng.randbytes(width) if row < noisy_rows else bytes(width)) for row in range(side))
    pixels = zlib.compress(rows, 1)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = (_chunk(b"IDAT", pixels[at : at + IDAT]) for at in range(0, len(pixels), IDAT))
    return Pictures(_SIGNATURE + _chunk(b"IHDR", header), b"".join(chunks) + _chunk(b"IEND", b""))


@cache
def large() -> Pictures:
    """1024x1024, about 1.5 MB."""
    return _pictures(SIDE, LARGE // (3 * SIDE))


@cache
def tiny() -> Pictures:
    """One pixel, about 100 bytes."""
    return _pictures(1, 1)
