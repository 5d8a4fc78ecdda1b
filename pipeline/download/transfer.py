"""Fetching one picture, attempt by attempt.

A `Transfer` keeps what has arrived between its attempts: the bytes, their hash and the state of the check go on
together where the server lets a transfer continue.
"""

import hashlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from pipeline.download import answer
from pipeline.download.address import checked, plain
from pipeline.errors import DownloadBroken, GiveUp, StorageFailed
from pipeline.model import GeneratedImage, SavedImage
from pipeline.picture import BrokenPicture, Picture, PictureCheck
from pipeline.store import Part, Store

MAX_REDIRECTS = 3

_MIB = 1024 * 1024


class Downloads:
    """What all downloads of a run have in common.

    Args:
        session: Made by `web.cdn_session`.
        store: Where the files land.
        max_bytes: Bytes one picture may have.
        https_only: Whether URLs and redirects must be https; False only where the API itself is plain http.
        min_rate: Bytes a second that must arrive on average over each `window`.
        window: Seconds. No byte at all for so long ends an attempt as well.
        timeout: Seconds for one attempt.
        clock: Seconds from any fixed moment, for the rate.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        store: Store,
        *,
        max_bytes: int = 50 * _MIB,
        https_only: bool,
        min_rate: float = 1000.0,
        window: float = 30.0,
        timeout: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.session = session
        self.store = store
        self.max_bytes = max_bytes
        self.https_only = https_only
        self.min_rate = min_rate
        self.window = window
        self.timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=window, sock_read=window)
        self.clock = clock

    def transfer(
        self,
        image: GeneratedImage,
        stem: str,
        fits: Callable[[int, int], bool],
        locate: Callable[[str], str] = str,
    ) -> "Transfer":
        """The transfer of one picture, to be closed by whoever asks for it.

        Args:
            image: The picture as the answer gave it: a URL, or its bytes.
            stem: Its file name without suffix; the suffix follows from its bytes.
            fits: Whether a width and a height are what was asked for.
            locate: Turns the URL as the answer gave it into the one to fetch.
        """
        return Transfer(self, image, stem, fits, locate)


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
        self._store = downloads.store
        self._image = image
        self._stem = stem
        self._fits = fits
        self._locate = locate
        self._part: Part | None = None
        self._sha256 = hashlib.sha256()
        self._check = PictureCheck()
        self._version = answer.Version()
        self._broken = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def attempt(self) -> SavedImage:
        """Fetch what is still missing, and land the file once it is whole.

        Raises:
            DownloadBroken: It did not arrive whole; another attempt may bring it.
            GiveUp: No attempt will: it is not what was asked for, or its URL may not be fetched.
            StorageFailed: The disk refused.
        """
        try:
            if self._image.data is not None:
                data, part = self._image.data, self._start_over()
                for piece in (data,) if isinstance(data, bytes) else data.pieces():
                    self._keep(part, piece)
            else:
                await self._fetch(self._image.url or "")
            picture = self._check.finish()
        except BrokenPicture as error:
            self._broken = True
            message = f"what came for {self._stem} is no whole picture: {error}"
            if self._image.data is not None:
                raise GiveUp(message, cause="bad-picture") from None
            raise DownloadBroken(message, cause="bad-picture") from None
        return await self._land(picture)

    def close(self) -> None:
        """Remove the partial file; a picture that came broken is kept in quarantine instead, for it was paid for."""
        part, self._part = self._part, None
        if part is None:
            return
        if self._broken and self._check.suffix:
            try:
                self._store.quarantine(part, self._stem + self._check.suffix)
            except StorageFailed:
                part.discard()
        else:
            part.discard()

    async def _land(self, picture: Picture) -> SavedImage:
        part = self._part
        assert part is not None
        if not self._fits(picture.width, picture.height):
            self._broken = True
            raise GiveUp(
                f"the picture for {self._stem} is {picture.width}x{picture.height}, not of the shape asked for; "
                f"it is kept in {self._store.state.name}/quarantine",
                cause="bad-picture",
            )
        name = self._stem + picture.suffix
        mtime_ns = await part.land(name)
        self._part = None
        digest = self._sha256.hexdigest()
        return SavedImage(name, picture.mime_type, part.size, digest, picture.width, picture.height, mtime_ns)

    # The bytes.

    def _start_over(self) -> Part:
        if self._part is None:
            self._part = self._store.part(self._stem)
        elif self._part.size:
            self._part.truncate()
        self._sha256 = hashlib.sha256()
        self._check = PictureCheck()
        self._version = answer.Version()
        self._broken = False
        return self._part

    def _keep(self, part: Part, data: bytes) -> None:
        """Write first, check then: what is found broken is all there to be looked at."""
        self._weigh(part.size + len(data))
        part.write(data)
        self._sha256.update(data)
        self._check.feed(data)

    def _weigh(self, size: int) -> None:
        if size > self._downloads.max_bytes:
            limit = f"{self._downloads.max_bytes / _MIB:.3g} MiB"
            raise GiveUp(f"the picture for {self._stem} is larger than the {limit} allowed", cause="bad-picture")

    # The requests.

    async def _fetch(self, text: str) -> None:
        url = checked(self._located(text), https_only=self._downloads.https_only)
        for _ in range(MAX_REDIRECTS + 1):
            try:
                target = await self._get(url)
            except (aiohttp.ClientError, TimeoutError) as error:
                raise answer.translated(plain(url), error) from None
            if target is None:
                return
            url = checked(target, https_only=self._downloads.https_only, base=url)
        raise DownloadBroken(f"{plain(url)}: redirected more than {MAX_REDIRECTS} times", refused=True)

    def _located(self, text: str) -> str:
        try:
            return self._locate(text)
        except ValueError:
            raise GiveUp("the picture's URL can't be understood", cause="lost") from None

    async def _get(self, url: URL) -> str | None:
        """One GET: the body to its end, or where the server says it is instead."""
        offset = self._offset()
        headers = {"Range": f"bytes={offset}-", "If-Range": self._version.validator or ""} if offset else {}
        session = self._downloads.session
        async with session.get(
            url, headers=headers, timeout=self._downloads.timeout, allow_redirects=False
        ) as response:
            target = response.headers.get("Location")
            if response.status in answer.REDIRECTS and target:
                return target
            part = self._open(response, plain(url), offset)
            await self._receive(response.content, part, plain(url))
            return None

    def _offset(self) -> int:
        """Bytes to continue from: those that are here, if they are sound and the server has named their version."""
        if self._part is None or self._version.validator is None or self._broken:
            return 0
        return self._part.size

    def _open(self, response: aiohttp.ClientResponse, where: str, offset: int) -> Part:
        """The file that the body of this answer belongs to, at the place where it belongs."""
        refusal = answer.refusal(response.status, response.headers, where)
        if refusal is not None:
            if response.status == 416:
                self._start_over()
            raise refusal
        if response.status == 206:
            if not offset or not answer.continues(response.headers, offset, self._version):
                self._start_over()
                raise DownloadBroken(f"{where} sends another part of the picture than it was asked for")
            assert self._part is not None
            return self._part
        part = self._start_over()
        self._version = answer.version(response.headers)
        self._weigh(self._version.total or 0)
        return part

    async def _receive(self, content: aiohttp.StreamReader, part: Part, where: str) -> None:
        downloads = self._downloads
        since, size = downloads.clock(), part.size
        while piece := await content.readany():
            self._keep(part, piece)
            elapsed = downloads.clock() - since
            if elapsed >= downloads.window:
                if part.size - size < downloads.min_rate * elapsed:
                    raise DownloadBroken(f"{where} sends less than {downloads.min_rate:g} bytes a second")
                since, size = downloads.clock(), part.size
        if self._version.total not in (None, part.size):
            raise DownloadBroken(f"{where} sent {part.size} bytes of {self._version.total}")
