"""PNG (W3C Recommendation, third edition): a signature, then chunks that each carry a CRC, from IHDR to IEND."""

import struct
import zlib

from pipeline.picture.source import BrokenPicture, Picture, Source, Steps, dimensions

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_HEAD = struct.Struct(">I4s")
_BETWEEN = struct.Struct(">II4s")
"""What lies between the data of two chunks: the CRC of one, the length and the type of the next."""

_MAX_LENGTH = 0x7FFF_FFFF
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""The bit depths that each colour type allows (section 11.2.1)."""


def walk(source: Source) -> Steps[Picture]:
    """Read one PNG to the end of its IEND chunk, checking the CRC of every chunk.

    Raises:
        BrokenPicture: It is damaged.
    """
    yield from source.skip(len(SIGNATURE))
    length, kind, crc = yield from _chunk_head(source)
    if kind != b"IHDR" or length != 13:
        raise BrokenPicture("its first chunk is no IHDR")
    header = yield from source.take(13)
    yield from _check_crc(source, kind, zlib.crc32(header, crc))
    width, height = _read_header(header)
    data = 0
    while kind != b"IEND":
        data += _whole_chunks(source)
        length, kind, crc = yield from _chunk_head(source)
        crc = yield from _crc_of_body(source, length, crc)
        yield from _check_crc(source, kind, crc)
        if kind == b"IDAT":
            data += length
        elif kind[:1].isupper() and kind not in (b"PLTE", b"IEND"):
            raise BrokenPicture(f"its chunk {kind.decode()} is none that a PNG may have here")
    if length or not data:
        raise BrokenPicture("its image data is missing" if not data else "its IEND chunk is not empty")
    return Picture("image/png", ".png", width, height)


def _chunk_head(source: Source) -> Steps[tuple[int, bytes, int]]:
    """A chunk's length, its type, and the CRC so far."""
    head = yield from source.take(8)
    length, kind = struct.unpack(">I4s", head)
    if length > _MAX_LENGTH or not (kind.isascii() and kind.isalpha()):
        raise BrokenPicture("a chunk in it is damaged")
    return length, kind, zlib.crc32(kind)


def _crc_of_body(source: Source, length: int, crc: int) -> Steps[int]:
    def add(piece: memoryview) -> None:
        nonlocal crc
        crc = zlib.crc32(piece, crc)

    yield from source.pieces(length, add)
    return crc


def _whole_chunks(source: Source) -> int:
    """Read the IDAT chunks that are here as a whole: nearly all of a picture, without a pause in between.

    Returns:
        Bytes of image data in them.
    """
    rest, at, data = source.rest, 0, 0
    # Looked up once: there are hundreds of chunks in a picture, and nothing else is done so often.
    last, crc32, between = len(rest) - _BETWEEN.size, zlib.crc32, _BETWEEN.unpack_from
    length, kind = _HEAD.unpack_from(rest) if len(rest) >= _HEAD.size else (0, b"")
    while kind == b"IDAT" and (end := at + _HEAD.size + length) <= last:
        stored, following, kind = between(rest, end)
        if crc32(rest[at + 4 : end]) != stored:
            raise BrokenPicture("the checksum of its IDAT chunk is wrong")
        data += length
        at, length = end + 4, following
    source.drop(at)
    return data


def _check_crc(source: Source, kind: bytes, crc: int) -> Steps[None]:
    stored = yield from source.take(4)
    if int.from_bytes(stored) != crc:
        raise BrokenPicture(f"the checksum of its {kind.decode()} chunk is wrong")


def _read_header(header: bytes) -> tuple[int, int]:
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", header)
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise BrokenPicture("its header asks for what no PNG has")
    return dimensions(width, height)
