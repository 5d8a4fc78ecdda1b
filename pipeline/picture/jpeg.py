"""JPEG (ITU-T T.81): segments behind markers, and scans of entropy-coded data that the next marker ends."""

import re
import struct

from pipeline.picture.source import BrokenPicture, Picture, Source, Steps, dimensions

SIGNATURE = b"\xff\xd8\xff"

_EOI, _SOS = 0xD9, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 … SOF15; the three are DHT, JPG and DAC
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})  # stuffing, TEM, RST0 … RST7, SOI: none may stand between segments

_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""What ends a scan: a marker that is neither a stuffed zero, nor a restart, nor a fill byte (B.1.1.2)."""


def walk(source: Source) -> Steps[Picture]:
    """Read one JPEG, baseline or progressive, to its EOI marker.

    Raises:
        BrokenPicture: It is damaged.
    """
    yield from source.skip(2)
    size: tuple[int, int] | None = None
    scans = 0
    while (marker := (yield from _marker(source))) != _EOI:
        if marker in _BARE:
            raise BrokenPicture(f"it has a marker FF{marker:02X} where none may be")
        length = int.from_bytes((yield from source.take(2))) - 2
        if length < 0:
            raise BrokenPicture("a segment in it is damaged")
        if marker in _FRAMES:
            if size:
                raise BrokenPicture("it has two frame headers")
            size = _frame((yield from source.take(length)))
        else:
            yield from source.skip(length)
        if marker == _SOS:
            if not size:
                raise BrokenPicture("its image data comes before its size")
            scans += 1
            yield from _scan(source)
    if not size or not scans:
        raise BrokenPicture("its image data is missing")
    return Picture("image/jpeg", ".jpg", *size)


def _marker(source: Source) -> Steps[int]:
    """The code of the next marker; fill bytes before it are skipped."""
    lead, code = yield from source.take(2)
    if lead != 0xFF:
        raise BrokenPicture("it has data between its segments")
    while code == 0xFF:
        (code,) = yield from source.take(1)
    return code


def _frame(segment: bytes) -> tuple[int, int]:
    """The size in a frame header (B.2.2): precision, lines, samples a line, components of three bytes each."""
    if len(segment) < 6 or len(segment) != 6 + 3 * segment[5]:
        raise BrokenPicture("its frame header is damaged")
    height, width = struct.unpack(">xHH", segment[:5])
    return dimensions(width, height)


def _scan(source: Source) -> Steps[None]:
    """Read past entropy-coded data, up to the marker behind it."""
    while True:
        rest = source.rest
        end = _SCAN_END.search(rest)
        if end:
            yield from source.skip(end.start())
            return
        # A trailing FF may be the first half of that marker: it stays.
        torn = bool(rest) and rest[-1] == 0xFF
        yield from source.skip(len(rest) - torn)
        yield
