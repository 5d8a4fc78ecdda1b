"""Undo the content codings of a body (RFC 9110, 8.4) while it streams, in little memory.

The bytes decide what is undone, not the label: servers label plain pictures `utf-8`, `aws-chunked`, even `gzip`, and
send gzip without saying so.
"""

import importlib
import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from pipeline.picture import HEAD, LOOK, BrokenPicture, format_of, recognise

MOST = 3
"""Codings one over the other that are undone, at most."""

_PIECE = 64 * 1024
_GZIP = b"\x1f\x8b"
_GZIP_STREAM = 31
"""What zlib calls a gzip stream with the largest window."""

_NAMES = {"x-gzip": "gzip", "gzip": "gzip", "deflate": "deflate", "br": "br", "zstd": "zstd"}


class TooLarge(Exception):
    """What came out of a coding is more than was allowed."""


class _Decoder(Protocol):
    def pieces(self, data: bytes) -> Iterator[bytes]: ...


class Codings:
    """Turns the bytes of a body into those of a picture.

    Args:
        labels: The values of its `Content-Encoding`.
        limit: Bytes that may come out of each coding.

    Attributes:
        undone: The codings that were really there and were undone.
        lacking: A coding that is there and can't be undone here; the bytes behind it come as they are.
    """

    def __init__(self, labels: Iterable[str], limit: int) -> None:
        names = [name.strip().lower() for value in labels for name in value.split(",")]
        known = [_NAMES[name] for name in names if name in _NAMES]
        # The last one was applied last; one of gzip may be there unsaid.
        self._layers = [_Layer(name, limit, self) for name in [*reversed(known), *["gzip"] * MOST][:MOST]]
        self._plain = False
        self.undone: list[str] = []
        self.lacking: str | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the next bytes stand for, piece by piece.

        Raises:
            BrokenPicture: A coding is damaged.
            TooLarge: More than the limit comes out.
        """
        if self._plain:
            return iter((data,))
        if not self._layers[0].begun and len(data) >= HEAD and format_of(data[:HEAD]):
            self._plain = True
            return iter((data,))
        return self._through(iter((data,)))

    def finish(self) -> Iterator[bytes]:
        """The same of the bytes that were held back until now, at the end of the body."""
        return iter(()) if self._plain else self._through(None)

    def _through(self, pieces: Iterator[bytes] | None) -> Iterator[bytes]:
        last = pieces is None
        flow: Iterator[bytes] = iter(()) if pieces is None else pieces
        for layer in self._layers:
            flow = layer.pieces(flow, last=last)
        return flow


class _Layer:
    """One coding that may be there; found out by the first bytes."""

    def __init__(self, name: str, limit: int, codings: Codings) -> None:
        self._name = name
        self._left = limit
        self._codings = codings
        self._head = b""
        self._decoder: _Decoder | None = None
        self._decided = False

    @property
    def begun(self) -> bool:
        return self._decided or bool(self._head)

    def pieces(self, flow: Iterator[bytes], *, last: bool) -> Iterator[bytes]:
        for data in flow:
            if self._decided:
                yield from self._decoded(data)
            else:
                self._head += data
                if self._is_clear(self._head):
                    yield from self._decoded(self._decide())
        if last and self._head:
            yield from self._decoded(self._decide())

    def _is_clear(self, head: bytes) -> bool:
        """Whether these first bytes are enough; not every coding has a signature."""
        enough = HEAD if self._name == "gzip" or format_of(head[:HEAD]) else LOOK
        return len(head) >= enough

    def _decide(self) -> bytes:
        head, self._head, self._decided = self._head, b"", True
        self._decoder = self._decoder_for(head)
        return head

    def _decoder_for(self, head: bytes) -> _Decoder | None:
        if head.startswith(_GZIP):
            name = "gzip"
            decoder: _Decoder = _Zlib("gzip", _GZIP_STREAM)
        elif self._name == "gzip" or format_of(head[:HEAD]) or recognise(head).kind != "noise":
            return None
        elif self._name == "deflate":
            # Meant is a zlib stream; some servers send what is inside one (RFC 9110, 8.4.1.2).
            name = "deflate"
            decoder = _Zlib("deflate", 15 if _has_zlib_header(head) else -15)
        elif (brotli := _brotli()) is not None and self._name == "br":
            name, decoder = "br", brotli
        else:
            self._codings.lacking = self._name
            return None
        self._codings.undone.append(name)
        return decoder

    def _decoded(self, data: bytes) -> Iterator[bytes]:
        if self._decoder is None:
            yield data
            return
        for piece in self._decoder.pieces(data):
            self._left -= len(piece)
            if self._left < 0:
                raise TooLarge
            yield piece


def _has_zlib_header(head: bytes) -> bool:
    return head[0] & 0x0F == 8 and head[0] >> 4 <= 7 and int.from_bytes(head[:2]) % 31 == 0


class _Zlib:
    """Inflates, never more than a piece at once; gzip members may follow each other."""

    def __init__(self, name: str, wbits: int) -> None:
        self._name = name
        self._wbits = wbits
        self._inflate = zlib.decompressobj(wbits)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inflate.eof:
                if not data.startswith(_GZIP) or self._wbits != _GZIP_STREAM:
                    return  # padding behind the end
                self._inflate = zlib.decompressobj(self._wbits)
            yield from self._inflated(data)
            data = self._inflate.unused_data

    def _inflated(self, data: bytes) -> Iterator[bytes]:
        piece = bytes(_PIECE)
        # A full piece may have left some behind, even where all that came was read.
        while not self._inflate.eof and (data or len(piece) == _PIECE):
            try:
                piece = self._inflate.decompress(data, _PIECE)
            except zlib.error:
                raise BrokenPicture(f"its {self._name} coding is damaged") from None
            data = self._inflate.unconsumed_tail
            yield piece


class _Brotli:
    """The same for Brotli, by the package `brotli`, from the version on that can be told to stop."""

    def __init__(self, decompressor: "_BrotliDecompressor", error: type[Exception]) -> None:
        self._decompressor = decompressor
        self._error = error

    def pieces(self, data: bytes) -> Iterator[bytes]:
        try:
            piece = self._decompressor.process(data, output_buffer_limit=_PIECE)
            yield piece
            while not self._decompressor.can_accept_more_data():
                yield self._decompressor.process(b"", output_buffer_limit=_PIECE)
        except self._error:
            raise BrokenPicture("its br coding is damaged") from None


class _BrotliDecompressor(Protocol):
    def process(self, data: bytes, *, output_buffer_limit: int) -> bytes: ...
    def can_accept_more_data(self) -> bool: ...


def _brotli() -> _Brotli | None:
    try:
        brotli = importlib.import_module("brotli")
        decompressor = brotli.Decompressor()
        return _Brotli(decompressor, brotli.error) if hasattr(decompressor, "can_accept_more_data") else None
    except ImportError:
        return None


def cure(coding: str) -> str:
    """What lets a coding be undone that is lacking."""
    return "pip install 'brotli>=1.2'" if coding == "br" else "no Python package that this program knows undoes it"
