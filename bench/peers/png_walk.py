"""The check that a bare script would make of a picture."""

import struct
import zlib


class PngWalk:
    """The CRC of every chunk of one PNG, as its bytes stream past."""

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0
        self._crc = 0
        self.whole = False

    def feed(self, data: bytes | memoryview) -> None:
        """The next bytes, the signature included."""
        view, at = memoryview(data), 0
        while at < len(view):
            if self._left:
                piece = view[at : at + self._left]
                self._crc = zlib.crc32(piece, self._crc)
                self._left -= len(piece)
                at += len(piece)
                continue
            # 12 bytes lie between two chunks' data: the CRC of one, the length and the type of the next. Before the
            # first chunk the last 4 bytes of the signature stand where a CRC would.
            wanted = 16 - len(self._rest) if not self._crc else 12 - len(self._rest)
            self._rest += bytes(view[at : at + wanted])
            at += wanted
            self._between()

    def _between(self) -> None:
        size = 12 if self._crc else 16
        if len(self._rest) == 4 and self._crc == zlib.crc32(b"IEND"):
            self.whole = int.from_bytes(self._rest) == self._crc
        if len(self._rest) < size:
            return
        crc, length, kind = struct.unpack(">II4s", self._rest[-12:])
        if self._crc and crc != self._crc:
            raise ValueError("a chunk is damaged")
        self._rest, self._left, self._crc = b"", length, zlib.crc32(kind)
