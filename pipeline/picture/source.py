"""Bytes that arrive in pieces, read as if they were all there."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]
"""A walk through the bytes: pauses (yields) when it needs more of them, and returns what it found."""

MAX_PIXELS = 64_000_000
"""More is no picture anybody asked for, but a bomb for whoever decodes it."""


class BrokenPicture(ValueError):
    """The bytes are no whole picture; the message says what they are or what is wrong with them."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a whole picture says of itself.

    Attributes:
        mime_type: By its bytes.
        suffix: With its dot: `.png`.
        width: Pixels.
        height: Pixels.
        flaw: What is wrong with it that decoders forgive; None where nothing is. It may be how the encoder writes, or
            the mark that a damaged transfer has left: the same bytes once more tell the two apart.
    """

    mime_type: str
    suffix: str
    width: int
    height: int
    flaw: str | None = None


def dimensions(width: int, height: int) -> tuple[int, int]:
    """The two, checked.

    Raises:
        BrokenPicture: There are none, or too many pixels.
    """
    if not width or not height:
        raise BrokenPicture(f"its size is {width}x{height}")
    if width * height > MAX_PIXELS:
        raise BrokenPicture(f"its size is {width}x{height}, over the {MAX_PIXELS // 1_000_000} megapixels allowed")
    return width, height


class Source:
    """A queue of bytes that a walk reads from. Holds the piece fed last and the few bytes left before it."""

    def __init__(self) -> None:
        self._rest = memoryview(b"")

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes to the end. They must not change until the walk has paused again."""
        self._rest = memoryview(bytes(self._rest) + bytes(data)) if self._rest else memoryview(data)

    @property
    def rest(self) -> memoryview:
        """The bytes that are here and not read yet."""
        return self._rest

    def drop(self, size: int) -> None:
        """Read past bytes that are here."""
        self._rest = self._rest[size:]

    def peek(self, size: int) -> Steps[bytes]:
        """The next `size` bytes, left where they are."""
        while len(self._rest) < size:
            yield
        return bytes(self._rest[:size])

    def take(self, size: int) -> Steps[bytes]:
        """The next `size` bytes."""
        data = yield from self.peek(size)
        self._rest = self._rest[size:]
        return data

    def pieces(self, size: int, use: Callable[[memoryview], object]) -> Steps[None]:
        """Pass the next `size` bytes to `use`, in whatever pieces they come, without gathering them."""
        while size:
            piece = self._rest[:size]
            if piece:
                use(piece)
                self._rest = self._rest[len(piece) :]
                size -= len(piece)
            else:
                yield

    def skip(self, size: int) -> Steps[None]:
        """Read past the next `size` bytes."""
        yield from self.pieces(size, len)
