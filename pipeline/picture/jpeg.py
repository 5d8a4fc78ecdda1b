"""JPEG (ITU-T T.81): segments behind markers, and scans of entropy-coded data that the next marker ends."""

import re
import struct

from pipeline.picture.source import BrokenPicture, Picture, Source, Steps, dimensions

SIGNATURE = b"\xff\xd8\xff"

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 … SOF15; the three are DHT, JPG and DAC
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})  # stuffing, TEM, RST0 … RST7: nothing that starts a segment

_HUFFMAN = frozenset({0xC0, 0xC1, 0xC2, 0xC5, 0xC6})
"""Frames of discrete cosines whose scans are coded by Huffman's tables: each block takes one bit at the very least."""

_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""What ends a scan: a marker that is neither a stuffed zero, nor a restart, nor a fill byte (B.1.1.2)."""

_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
"""What starts a segment, or ends the picture; fill bytes may stand before it."""


def walk(source: Source) -> Steps[Picture]:
    """Read one JPEG, baseline or progressive, to its EOI marker.

    Bytes between segments, and markers without a meaning there, are a flaw: decoders skip them (as libjpeg's
    `next_marker` does). One without EOI is shown by decoders too, and refused: so looks a transfer that was cut off.

    Raises:
        BrokenPicture: It is damaged.
    """
    yield from source.skip(2)
    size: tuple[int, int] | None = None
    scans, data, least, flaw = 0, 0, 0, None
    while True:
        marker, stray = yield from _marker(source)
        flaw = flaw or stray
        if marker == _EOI:
            break
        length = int.from_bytes((yield from source.take(2))) - 2
        if length < 0:
            raise BrokenPicture("a segment in it is damaged")
        if marker in _FRAMES:
            if size:
                raise BrokenPicture("it has two frame headers")
            size = _frame((yield from source.take(length)))
            least = _blocks(*size) // 8 if marker in _HUFFMAN else 0
        else:
            yield from source.skip(length)
        if marker == _SOS:
            if not size:
                raise BrokenPicture("its image data comes before its size")
            scans += 1
            data += yield from _scan(source)
    if not size or not scans:
        raise BrokenPicture("its image data is missing")
    if data < least:
        raise BrokenPicture(f"its image data is {data} bytes, too few for {size[0]}x{size[1]}")
    return Picture("image/jpeg", ".jpg", *size, flaw)


def _marker(source: Source) -> Steps[tuple[int, str | None]]:
    """The code of the next marker that means something, and what was wrong with the bytes before it."""
    lead, code = yield from source.peek(2)
    flaw = None
    if lead != 0xFF:
        flaw = "it has data between its segments"
    elif code in _BARE:
        flaw = f"it has a marker FF{code:02X} where none may be"
    yield from _skip_to(source, _MARKER)
    _, code = yield from source.take(2)
    if code == _SOI:
        raise BrokenPicture("another picture begins in the middle of it")
    return code, flaw


def _blocks(width: int, height: int) -> int:
    """Blocks of 8x8 samples in the component that has them all (A.1.1)."""
    return -(-width // 8) * -(-height // 8)


def _frame(segment: bytes) -> tuple[int, int]:
    """The size in a frame header (B.2.2): precision, lines, samples a line, components of three bytes each."""
    if len(segment) < 6 or not segment[5] or len(segment) != 6 + 3 * segment[5]:
        raise BrokenPicture("its frame header is damaged")
    height, width = struct.unpack(">xHH", segment[:5])
    return dimensions(width, height)


def _scan(source: Source) -> Steps[int]:
    """Read past entropy-coded data, up to the marker behind it; how many bytes it was."""
    return (yield from _skip_to(source, _SCAN_END))


def _skip_to(source: Source, marker: re.Pattern[bytes]) -> Steps[int]:
    """Read past everything before the two bytes of a marker; how many bytes it was."""
    passed = 0
    while True:
        rest = source.rest
        end = marker.search(rest)
        if end:
            yield from source.skip(end.start())
            return passed + end.start()
        # A trailing FF may be the first half of that marker: it stays.
        torn = bool(rest) and rest[-1] == 0xFF
        passed += len(rest) - torn
        yield from source.skip(len(rest) - torn)
        yield
