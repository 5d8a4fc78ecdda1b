"""The check of one picture, whichever of the three formats it is in."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.picture import jpeg, png, webp
from pipeline.picture.foreign import LOOK, Foreign, recognise
from pipeline.picture.source import BrokenPicture, Picture, Source, Steps

HEAD = 12
"""First bytes by which the three formats are known."""


class PictureCheck:
    """Fed a picture piece by piece; objects as early as the bytes allow."""

    def __init__(self) -> None:
        self._source = Source()
        self._found = _Found()
        # It knows nothing of this object: a circle would keep the bytes fed last until the garbage collector comes.
        self._walk = _walk(self._source, self._found)

    @property
    def suffix(self) -> str | None:
        """`.png`, `.jpg` or `.webp` once the first bytes have said so; None before, and for anything else."""
        return self._found.suffix

    @property
    def foreign(self) -> Foreign | None:
        """What the bytes are where they are none of the three formats; None for those, and before it is clear."""
        return self._found.foreign

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Check the next bytes.

        Raises:
            BrokenPicture: They can't belong to a whole picture. The check is over then.
        """
        self._source.feed(data)
        next(self._walk)

    def finish(self) -> Picture:
        """What the picture is, now that all its bytes were fed.

        Raises:
            BrokenPicture: It was cut off, or `feed` has objected.
        """
        if self._found.picture is not None:
            return self._found.picture
        if self.suffix is not None:
            raise BrokenPicture(f"it is a {self.suffix[1:].upper()} that was cut off")
        self._found.foreign = self._found.foreign or recognise(bytes(self._source.rest[:LOOK]))
        raise BrokenPicture(f"it is {self._found.foreign.words}")


@dataclass(slots=True)
class _Found:
    """What a walk has found out so far."""

    suffix: str | None = None
    foreign: Foreign | None = None
    picture: Picture | None = None


def _walk(source: Source, found: _Found) -> Steps[None]:
    """Read one picture of any format to its end.

    Bytes behind the end are passed over: no decoder looks at them, and several encoders write some (padding, the
    further pictures of a multi-picture JPEG, the data of a maker). They are no sign of damage, and what else they may
    be, such as an archive, could as well stand inside, in a chunk or a segment that decoders skip.
    """
    head = yield from source.peek(HEAD)
    known = format_of(head)
    if known is None:
        found.foreign = recognise((yield from source.peek(LOOK)))
        raise BrokenPicture(f"it is {found.foreign.words}")
    found.suffix, walk = known
    found.picture = yield from walk(source)
    while True:
        source.drop(len(source.rest))
        yield


def format_of(head: bytes) -> tuple[str, Callable[[Source], Steps[Picture]]] | None:
    """The suffix and the walk for the first `HEAD` bytes of a picture; None where they are of no format known here."""
    if head.startswith(png.SIGNATURE):
        return ".png", png.walk
    if head.startswith(jpeg.SIGNATURE):
        return ".jpg", jpeg.walk
    if webp.is_webp(head):
        return ".webp", webp.walk
    return None
