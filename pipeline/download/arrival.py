"""The bytes of one picture as they arrive from one place: on the disk, hashed and checked."""

import hashlib
from collections.abc import Iterable, Iterator

from pipeline.download.coding import Codings, TooLarge
from pipeline.errors import GiveUp, StorageFailed
from pipeline.output.local import OutputFolder, Part
from pipeline.picture import BrokenPicture, Foreign, Picture, PictureCheck

MOST_OF_A_PAGE = 64 * 1024
"""Bytes that are kept of a page that came in a picture's place."""

_MIB = 1024 * 1024


class Arrival:
    """What has come so far. It goes on through several attempts, where a transfer can be continued.

    Args:
        store: Where the bytes go.
        stem: The picture's file name without suffix.
        max_bytes: Bytes it may have, also once its codings are undone.

    Attributes:
        part: The file; None before the first byte, and when it has become something else.
        received: Bytes that came, before any coding was undone.
        codings: The codings of the body that is arriving.
        broken: Why what came is no whole picture, once that is clear.
        cut_off: Whether nothing else is wrong with it but that it ends too early.
    """

    def __init__(self, store: OutputFolder, stem: str, max_bytes: int) -> None:
        self._store = store
        self._stem = stem
        self._max_bytes = max_bytes
        self.part: Part | None = None
        self.start_over()

    def start_over(self, labels: Iterable[str] = ()) -> None:
        """Forget what came; `labels` are the values of the next body's `Content-Encoding`."""
        if self.part is not None and self.part.size:
            self.part.truncate()
        self.received = 0
        self.codings = Codings(labels, self._max_bytes)
        self.broken: str | None = None
        self.cut_off = False
        self._sha256 = hashlib.sha256()
        self._check = PictureCheck()

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return self.part.size if self.part else 0

    @property
    def digest(self) -> str:
        """The SHA-256 of the bytes on the disk, in hex."""
        return self._sha256.hexdigest()

    @property
    def foreign(self) -> Foreign | None:
        """What came instead of a picture of a known format, as soon as that is clear."""
        return self._check.foreign

    @property
    def is_page(self) -> bool:
        """Whether a server talks instead of sending a picture."""
        return self.foreign is not None and self.foreign.kind == "page"

    @property
    def suffix(self) -> str:
        """The suffix that the bytes call for; empty where there is nothing worth a file."""
        if self.codings.lacking:
            return f".{self.codings.lacking}"
        return self._check.suffix or (self.foreign.suffix if self.foreign else "")

    def undone(self, data: bytes) -> Iterator[bytes]:
        """The bytes that the next ones of a body stand for, to be added one by one."""
        self.received += len(data)
        return self._guarded(self.codings.feed(data))

    def undone_rest(self) -> Iterator[bytes]:
        """The same for the end of the body."""
        return self._guarded(self.codings.finish())

    def _guarded(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from pieces
        except BrokenPicture as error:
            self.broken = self.broken or str(error)
        except TooLarge:
            raise self._too_large() from None

    def add(self, data: bytes | memoryview) -> None:
        """Add bytes of the picture. Written first, checked then: what is found broken is all there to be looked at.

        Raises:
            GiveUp: They are more than a picture may have.
            StorageFailed: The disk refused.
        """
        if self.part is None:
            self.part = self._store.part(self._stem)
        self.weigh(self.part.size + len(data))
        self.part.write(data)
        self._sha256.update(data)
        if self.broken is None:
            try:
                self._check.feed(data)
            except BrokenPicture as error:
                self.broken = str(error)

    def weigh(self, size: int) -> None:
        """Refuse a size that is too large, and let go of what came.

        Raises:
            GiveUp: It is.
        """
        if size > self._max_bytes:
            raise self._too_large()

    def _too_large(self) -> GiveUp:
        self.discard()
        limit = f"{self._max_bytes / _MIB:.3g} MiB"
        return GiveUp(f"the picture for {self._stem} is larger than the {limit} allowed", cause="bad-picture")

    def finish(self) -> Picture:
        """What the picture is, now that it has come to its end.

        Raises:
            BrokenPicture: It is none, or no whole one.
        """
        if self.broken is None:
            try:
                return self._check.finish()
            except BrokenPicture as error:
                self.broken = str(error)
                self.cut_off = self._check.suffix is not None
        raise BrokenPicture(self.broken)

    def keep(self, suffix: str | None = None) -> str:
        """Move what came to quarantine, for people to look at.

        Args:
            suffix: The suffix it gets; by what the bytes are where it is left out.

        Returns:
            The words that say so; empty where nothing came.

        Raises:
            StorageFailed: The disk refused.
        """
        part, self.part = self.part, None
        if part is None:
            return ""
        try:
            path = self._store.quarantine(part, self._stem + (suffix or self.suffix or ".bin"), digest=self.digest)
        except StorageFailed:
            part.discard()
            raise
        return f"it is kept as {path.relative_to(self._store.root)}"

    def discard(self) -> None:
        """Remove what came."""
        part, self.part = self.part, None
        if part is not None:
            part.discard()
