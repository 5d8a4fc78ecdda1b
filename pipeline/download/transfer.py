"""Fetching one picture, attempt by attempt, in every way that its answer offers.

A `Transfer` keeps what has arrived between its attempts: the bytes, their hash and the state of the check go on
together where the server lets a transfer continue.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from anyio.lowlevel import checkpoint

from pipeline.download import coding
from pipeline.download.arrival import Arrival
from pipeline.download.getting import DownloadRules, Getter
from pipeline.errors import DownloadBroken, GiveUp, StorageFailed
from pipeline.generated import EncodedImage, GeneratedImage
from pipeline.model import SavedImage
from pipeline.output.local import OutputFolder
from pipeline.picture import BrokenPicture, Picture

Decode = Callable[[Path, Picture], Awaitable[None]]
"""Decodes the picture in a file, and raises `BrokenPicture` where that can't be done."""

_PIECE = 256 * 1024


class Downloads:
    """What all downloads of a run have in common.

    Args:
        session: Made by `http.sessions.cdn_session`.
        store: Where the files land.
        max_bytes: Bytes one picture may have.
        https_only: Whether URLs and redirects must be https; False only where the API itself is plain http.
        decode: Decodes each picture before it gets its name, where the job asks for that.
        min_rate: Bytes a second that must arrive on average over each `window`.
        window: Seconds. No byte at all for so long ends an attempt as well.
        timeout: Seconds for one attempt.
        clock: Seconds from any fixed moment, for the rate.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        store: OutputFolder,
        *,
        max_bytes: int = 50 * 1024 * 1024,
        https_only: bool,
        decode: Decode | None = None,
        min_rate: float = 1000.0,
        window: float = 30.0,
        timeout: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.max_bytes = max_bytes
        self.decode = decode
        self.manners = DownloadRules(session, https_only, min_rate, window, timeout, clock)

    def transfer(
        self,
        image: GeneratedImage,
        stem: str,
        fits: Callable[[int, int], bool],
        locate: Callable[[str], str] = str,
    ) -> "Transfer":
        """The transfer of one picture, to be closed by whoever asks for it.

        Args:
            image: The picture as the answer gave it: its bytes, its URLs, or both.
            stem: Its file name without suffix; the suffix follows from its bytes.
            fits: Whether a width and a height are what was asked for.
            locate: Turns the URL as the answer gave it into the one to fetch.
        """
        return Transfer(self, image, stem, fits, locate)


@dataclass(slots=True)
class _Way:
    """One way to the picture: the bytes in the answer, or a URL.

    Attributes:
        arrival: What came this way.
        data: The bytes in the answer.
        getter: GETs its URL.
        failure: Why it is no use any more.
        suspect: Digest of the bytes that came last, whole as the server has them, and were found wanting.
    """

    arrival: Arrival
    data: bytes | EncodedImage | None = None
    getter: Getter | None = None
    failure: GiveUp | None = None
    suspect: str | None = None


class Transfer:
    """One picture on its way. Closing it removes what has not become a file."""

    def __init__(
        self,
        downloads: Downloads,
        image: GeneratedImage,
        stem: str,
        fits: Callable[[int, int], bool],
        locate: Callable[[str], str],
    ) -> None:
        self._downloads = downloads
        self._stem = stem
        self._fits = fits
        self._flagged = image.flagged
        self._ways: list[_Way] = []
        self._landed = False
        if image.data is not None:
            self._ways.append(_Way(self._arrival(), data=image.data))
        for url in dict.fromkeys((image.url, *image.more_urls)):
            if url is not None:
                arrival = self._arrival()
                self._ways.append(_Way(arrival, getter=Getter(url, arrival, downloads.manners, locate)))

    def _arrival(self) -> Arrival:
        return Arrival(self._downloads.store, self._stem, self._downloads.max_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def attempt(self) -> SavedImage:
        """Fetch what is still missing, in each way that is left until one brings it, and land the file.

        Raises:
            DownloadBroken: It did not arrive whole; another attempt may bring it.
            GiveUp: No attempt will: it is not what was asked for, or there is no way left to it.
            StorageFailed: The disk refused.
        """
        failures: list[DownloadBroken | GiveUp] = []
        for way in self._ways:
            if way.failure is None:
                try:
                    picture = await self._bring(way)
                except DownloadBroken as error:
                    failures.append(error)
                    continue
                except GiveUp as error:
                    way.failure = error
                else:
                    return await self._land(way, picture)
            failures.append(way.failure)
        raise self._summed(failures)

    def close(self) -> None:
        """Remove the partial files; what came broken is kept in quarantine instead, for it was paid for."""
        for way in self._ways:
            arrival = way.arrival
            if arrival.broken and arrival.suffix and not self._landed:
                try:
                    arrival.keep()
                except StorageFailed:
                    arrival.discard()
            else:
                arrival.discard()
            # Many megabytes, perhaps, and the traceback of what was raised may hold the way.
            way.data = None

    async def _bring(self, way: _Way) -> Picture:
        """The picture in one of the ways, checked, as far as it has not landed.

        Raises:
            DownloadBroken: The way did not bring it this time.
            GiveUp: It never will.
        """
        arrival = way.arrival
        if way.getter is not None:
            await way.getter.get()
        elif way.data is not None:
            await self._take(way.data, arrival)
        try:
            picture = arrival.finish()
            if self._downloads.decode is not None and arrival.part is not None:
                await self._decoded(arrival, arrival.part.path, picture)
        except BrokenPicture as error:
            raise self._verdict(way, f"what came for {self._stem} is no whole picture: {error}") from None
        if picture.flaw and way.getter is not None and not self._seen(way):
            raise DownloadBroken(f"what came for {self._stem} may be damaged: {picture.flaw}; it is fetched once more")
        if not self._flagged and not self._fits(picture.width, picture.height):
            message = f"the picture for {self._stem} is {picture.width}x{picture.height}, not of the shape asked for"
            raise GiveUp(f"{message}; {arrival.keep()}", cause="bad-picture")
        return picture

    async def _decoded(self, arrival: Arrival, path: Path, picture: Picture) -> None:
        assert self._downloads.decode is not None
        try:
            await self._downloads.decode(path, picture)
        except BrokenPicture as error:
            arrival.broken = str(error)
            raise

    async def _take(self, data: bytes | EncodedImage, arrival: Arrival) -> None:
        """Take in the bytes that came inside the answer."""
        if isinstance(data, bytes):
            await self._add([data], arrival)
            return
        try:
            await self._add(data.pieces(), arrival)
        except ValueError as error:
            arrival.start_over()
            await self._add(data.raw(), arrival)
            kept = arrival.keep(".b64")
            message = f"the picture for {self._stem} in the answer can't be decoded: {error}"
            raise GiveUp(f"{message}; {kept}" if kept else message, cause="bad-picture") from None

    async def _add(self, pieces: Iterable[bytes], arrival: Arrival) -> None:
        for piece in pieces:
            for at in range(0, len(piece), _PIECE):
                arrival.add(memoryview(piece)[at : at + _PIECE])
                await checkpoint()

    def _verdict(self, way: _Way, message: str) -> DownloadBroken | GiveUp:
        """What is to become of bytes that came, and are no usable picture.

        Four cases: 1 the bytes are the answer's own: they stay as they are. 2 A server talks instead of sending the
        picture: it may send it later. 3 The bytes are a file in another format, or came a second time: they stay as
        they are. 4 Anything else: the transfer may have damaged them.
        """
        arrival, getter = way.arrival, way.getter
        if getter is None:
            return GiveUp(f"{message}; {arrival.keep()}" if arrival.size else message, cause="bad-picture")
        if arrival.codings.lacking:
            name = arrival.codings.lacking
            return DownloadBroken(f"{getter.where} sends the picture compressed as {name}: {coding.cure(name)}")
        if arrival.is_page:
            assert arrival.foreign is not None
            found = "nothing" if not arrival.size else arrival.foreign.words
            return DownloadBroken(f"{getter.where} sends {found} in the picture's place", refused=True)
        if arrival.cut_off and not getter.whole:
            return DownloadBroken(message)
        is_file = arrival.foreign is not None and arrival.foreign.kind == "file" and getter.whole
        if self._seen(way) or is_file:
            return GiveUp(f"{message}; {arrival.keep()}", cause="bad-picture")
        return DownloadBroken(message)

    def _seen(self, way: _Way) -> bool:
        """Whether the same bytes came this way before: then it is not the transfer that has damaged them."""
        seen, way.suspect = way.suspect == way.arrival.digest, way.arrival.digest
        return seen

    async def _land(self, way: _Way, picture: Picture) -> SavedImage:
        arrival = way.arrival
        if self._flagged:
            raise GiveUp(
                f"the API calls its own picture unusable ({self._flagged}); {arrival.keep()}", cause="moderated"
            )
        part = arrival.part
        assert part is not None, "a picture has bytes"
        name = self._stem + picture.suffix
        mtime_ns = await part.publish(name)
        arrival.part, self._landed = None, True
        return SavedImage(name, picture.mime_type, part.size, arrival.digest, picture.width, picture.height, mtime_ns)

    def _summed(self, failures: Sequence[DownloadBroken | GiveUp]) -> DownloadBroken | GiveUp:
        """What all the ways that failed come to: the most hopeful of them decides."""
        if not failures:
            return GiveUp(f"the answer says nowhere where the picture for {self._stem} is", cause="lost")
        message = "; ".join(dict.fromkeys(str(error) for error in failures))
        broken = [error for error in failures if isinstance(error, DownloadBroken)]
        if broken:
            pauses = [error.retry_after for error in broken if error.retry_after is not None]
            return DownloadBroken(message, min(pauses, default=None), refused=all(error.refused for error in broken))
        causes = {error.cause for error in failures if isinstance(error, GiveUp)}
        cause = next(cause for cause in ("download", "bad-picture", "lost") if cause in causes)
        if self._flagged and cause == "bad-picture":
            return GiveUp(f"the API calls its own picture unusable ({self._flagged}); {message}", cause="moderated")
        return GiveUp(message, cause=cause)
