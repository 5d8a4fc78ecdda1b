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

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel, by colour type."""

_ZLIB_HEAD = 2
_MOST_DEFLATED = 1032
"""Bytes that one byte of deflated data may stand for, at most (zlib's technical details)."""


def walk(source: Source) -> Steps[Picture]:
    """Read one PNG to the end of its IEND chunk, checking the CRC of every chunk.

    Of chunks that decoders skip, a wrong CRC is a flaw; unknown chunks are skipped, whatever they call themselves.

    Raises:
        BrokenPicture: It is damaged.
    """
    yield from source.skip(len(SIGNATURE))
    length, kind, crc = yield from _chunk_head(source)
    if kind != b"IHDR" or length != 13:
        raise BrokenPicture("its first chunk is no IHDR")
    header = yield from source.take(13)
    yield from _require_crc(source, kind, zlib.crc32(header, crc))
    width, height = _read_header(header)
    data, head, flaw = 0, bytearray(), None
    while kind != b"IEND":
        if len(head) == _ZLIB_HEAD:
            data += _whole_chunks(source)
        length, kind, crc = yield from _chunk_head(source)
        crc = yield from _crc_of_body(source, length, crc, head if kind == b"IDAT" else bytearray())
        if kind[:1].islower():
            flaw = (yield from _wrong_crc(source, kind, crc)) or flaw
            continue
        yield from _require_crc(source, kind, crc)
        data += length if kind == b"IDAT" else 0
        if kind == b"IHDR":
            raise BrokenPicture("it has two headers")
    _check_data(header, data, bytes(head))
    return Picture("image/png", ".png", width, height, flaw)


def _chunk_head(source: Source) -> Steps[tuple[int, bytes, int]]:
    """A chunk's length, its type, and the CRC so far."""
    head = yield from source.take(8)
    length, kind = struct.unpack(">I4s", head)
    if length > _MAX_LENGTH or not (kind.isascii() and kind.isalpha()):
        raise BrokenPicture("a chunk in it is damaged")
    return length, kind, zlib.crc32(kind)


def _crc_of_body(source: Source, length: int, crc: int, head: bytearray) -> Steps[int]:
    """The CRC of a chunk, its data included, whose first bytes go to `head` as long as that is short of them."""

    def add(piece: memoryview) -> None:
        nonlocal crc
        crc = zlib.crc32(piece, crc)
        if len(head) < _ZLIB_HEAD:
            head.extend(piece[: _ZLIB_HEAD - len(head)])

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


def _wrong_crc(source: Source, kind: bytes, crc: int) -> Steps[str | None]:
    """What to say of a chunk whose CRC is not the one that follows it; None where it is."""
    stored = yield from source.take(4)
    return None if int.from_bytes(stored) == crc else f"the checksum of its {kind.decode()} chunk is wrong"


def _require_crc(source: Source, kind: bytes, crc: int) -> Steps[None]:
    wrong = yield from _wrong_crc(source, kind, crc)
    if wrong:
        raise BrokenPicture(wrong)


def _check_data(header: bytes, data: int, head: bytes) -> None:
    """Find out whether the image data could be some: inflating all of it would cost as much as the download does.

    Args:
        header: The body of IHDR.
        data: Bytes of image data.
        head: The first two of them, a zlib header (RFC 1950, 2.2).
    """
    if not data:
        raise BrokenPicture("its image data is missing")
    if len(head) < _ZLIB_HEAD or head[0] & 0x0F != 8 or head[0] >> 4 > 7 or head[1] & 0x20 or int.from_bytes(head) % 31:
        raise BrokenPicture("its image data is not compressed as a PNG's is")
    width, height, depth, colour = struct.unpack(">IIBB", header[:10])
    if data * _MOST_DEFLATED < width * height * depth * _SAMPLES[colour] // 8:
        raise BrokenPicture(f"its image data is {data} bytes, too few for {width}x{height}")


def _read_header(header: bytes) -> tuple[int, int]:
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", header)
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise BrokenPicture("its header asks for what no PNG has")
    return dimensions(width, height)
