"""Small pictures, written byte by byte so that a test can say what is in them."""

import struct
import zlib
from io import BytesIO

from PIL import Image


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width: int = 2, height: int = 3, depth: int = 8, colour: int = 0, rest: bytes = b"\0\0\0") -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBB", width, height, depth, colour) + rest)


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


IDAT = chunk(b"IDAT", zlib.compress(b"\0\1\2" * 3))
IEND = chunk(b"IEND")
PNG = png(header(), chunk(b"tEXt", b"Title\0fox"), IDAT, IEND)


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def frame(width: int = 2, height: int = 3, marker: int = 0xC0) -> bytes:
    return segment(marker, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")


SOI, EOI = b"\xff\xd8", b"\xff\xd9"
APP0 = segment(0xE0, b"JFIF\0" + bytes(9))
SOS = segment(0xDA, b"\1\1\0\0\x3f\0")
SCAN = b"data\xff\x00more\xff\xd0again\xff\xd7end"  # a stuffed FF and two restart markers
JPEG = SOI + APP0 + frame() + SOS + SCAN + EOI


def riff(*chunks: tuple[bytes, bytes], form: bytes = b"WEBP") -> bytes:
    body = b"".join(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + form + body


def vp8(width: int = 2, height: int = 3) -> tuple[bytes, bytes]:
    return b"VP8 ", b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height) + b"lossy"


def vp8l(width: int = 2, height: int = 3) -> tuple[bytes, bytes]:
    return b"VP8L", b"\x2f" + struct.pack("<I", width - 1 | (height - 1) << 14) + b"lossless"


def vp8x(width: int = 2, height: int = 3) -> tuple[bytes, bytes]:
    return b"VP8X", bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


WEBP = riff(vp8())


def drawn(form: str, **options: object) -> bytes:
    """What Pillow makes of a small picture with some detail in it."""
    pixels = bytes((x * 7 + y * 13 + x * y) % 256 for y in range(30) for x in range(40 * 3))
    file = BytesIO()
    Image.frombytes("RGB", (40, 30), pixels).save(file, form, **options)
    return file.getvalue()
