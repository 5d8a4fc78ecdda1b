"""WebP (RFC 9649): a RIFF file of chunks; its size is declared, and where the pixels are is said by three chunks."""

import struct

from pipeline.picture.source import BrokenPicture, Picture, Source, Steps, dimensions

_CHUNK = 8
"""Bytes of a chunk before its data: its type and its length."""

_PIXELS = frozenset({b"VP8 ", b"VP8L", b"ANMF"})


def is_webp(head: bytes) -> bool:
    """Whether the first 12 bytes are those of a WebP."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def walk(source: Source) -> Steps[Picture]:
    """Read one WebP to the end that its RIFF header declares.

    Raises:
        BrokenPicture: It is damaged.
    """
    head = yield from source.take(12)
    left = int.from_bytes(head[4:8], "little") - 4
    size: tuple[int, int] | None = None
    pixels = False
    while left:
        if left < _CHUNK and pixels:
            # Too few bytes for a chunk: padding that was counted in.
            yield from source.skip(left)
            break
        kind, length = struct.unpack("<4sI", (yield from source.take(_CHUNK)))
        # Some encoders leave out the pad byte of the last chunk, which decoders do not miss.
        padded = length + (length % 2 if left != _CHUNK + length else 0)
        left -= _CHUNK + padded
        if left < 0:
            raise BrokenPicture("a chunk in it is longer than the file")
        pixels = pixels or kind in _PIXELS
        read = 0
        if size is None:
            size, read = yield from _size(source, kind, length)
        yield from source.skip(padded - read)
    if size is None or not pixels:
        raise BrokenPicture("its image data is missing")
    return Picture("image/webp", ".webp", *size)


def _size(source: Source, kind: bytes, length: int) -> Steps[tuple[tuple[int, int], int]]:
    """Width and height from the first chunk, and how many of its bytes that took."""
    if kind not in (b"VP8 ", b"VP8L", b"VP8X") or length < 10:
        raise BrokenPicture("its first chunk is none of VP8, VP8L and VP8X")
    head = yield from source.take(10)
    if kind == b"VP8X":
        width, height = int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
    elif kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        if head[0] != 0x2F or bits >> 29:
            raise BrokenPicture("its VP8L chunk is damaged")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        if head[3:6] != b"\x9d\x01\x2a" or not _shown(int.from_bytes(head[:3], "little"), length):
            raise BrokenPicture("its VP8 chunk is damaged")
        width, height = (side & 0x3FFF for side in struct.unpack("<HH", head[6:10]))
    return dimensions(width, height), 10


def _shown(tag: int, length: int) -> bool:
    """Whether a frame tag (RFC 6386, 9.1) is that of a picture: a key frame of a known version, shown, and not cut."""
    return not tag & 1 and tag >> 1 & 7 <= 3 and bool(tag >> 4 & 1) and tag >> 5 < length
