"""GET a picture from one URL: redirects, ranges, and a body that must keep coming."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from anyio.lowlevel import checkpoint
from yarl import URL

from pipeline.download import answer
from pipeline.download.address import checked, plain
from pipeline.download.arrival import MOST_OF_A_PAGE, Arrival
from pipeline.errors import DownloadBroken, GiveUp

MAX_REDIRECTS = 10


@dataclass(frozen=True, slots=True)
class DownloadRules:
    """How pictures are fetched.

    Attributes:
        session: Made by `http.sessions.cdn_session`.
        https_only: Whether URLs and redirects must be https.
        min_rate: Bytes a second that must arrive on average over each `window`.
        window: Seconds. No byte at all for so long ends an attempt as well.
        timeout: Seconds for one attempt.
        clock: Seconds from any fixed moment, for the rate.
    """

    session: aiohttp.ClientSession
    https_only: bool
    min_rate: float = 1000.0
    window: float = 30.0
    timeout: float = 300.0
    clock: Callable[[], float] = time.monotonic


class Getter:
    """One URL of one picture.

    Attributes:
        where: The URL that was asked last, as messages may show it.
        whole: Whether the server has said how long the body is, or where it ends, and that much came.
    """

    def __init__(self, text: str, arrival: Arrival, manners: DownloadRules, locate: Callable[[str], str]) -> None:
        """`text` is the URL as the answer has it, `locate` turns that into the one to fetch."""
        self._text = text
        self._arrival = arrival
        self._manners = manners
        self._locate = locate
        self._version = answer.Version()
        self.where = "the URL"
        self.whole = False

    async def get(self) -> None:
        """Fetch what is still missing.

        Raises:
            DownloadBroken: Not all of it came.
            GiveUp: It may not be fetched from there, or is too large.
            StorageFailed: The disk refused.
        """
        url = checked(self._located(), https_only=self._manners.https_only)
        for _ in range(MAX_REDIRECTS + 1):
            self.where = plain(url)
            try:
                target = await self._ask(url)
            except (aiohttp.ClientError, TimeoutError) as error:
                raise answer.translated(self.where, error) from None
            if target is None:
                return
            url = self._next(target, url)
        raise DownloadBroken(f"{plain(url)}: redirected more than {MAX_REDIRECTS} times", refused=True)

    def _located(self) -> str:
        try:
            return self._locate(self._text)
        except ValueError:
            raise GiveUp("the picture's URL can't be understood", cause="lost") from None

    def _next(self, target: str, url: URL) -> URL:
        """Where a redirect leads. One that may not be followed says nothing about the URL: it may answer tomorrow."""
        try:
            return checked(target, https_only=self._manners.https_only, base=url)
        except GiveUp as refusal:
            raise DownloadBroken(f"{self.where} redirects: {refusal}", refused=True) from None

    async def _ask(self, url: URL) -> str | None:
        """One GET: the body to its end, or where the server says it is instead."""
        manners, offset = self._manners, self._offset()
        headers = {"Range": f"bytes={offset}-", "If-Range": self._version.validator or ""} if offset else {}
        timeout = aiohttp.ClientTimeout(total=manners.timeout, sock_connect=manners.window, sock_read=manners.window)
        async with manners.session.get(url, headers=headers, timeout=timeout, allow_redirects=False) as response:
            target = response.headers.get("Location")
            if response.status in answer.REDIRECTS and target:
                return target
            self._open(response, offset)
            await self._receive(response.content)
            return None

    def _offset(self) -> int:
        """Bytes to continue from: those that are here, if they are sound and the server has named their version.

        What a coding was undone of can't be continued: the server counts other bytes.
        """
        arrival = self._arrival
        if self._version.validator is None or arrival.broken or arrival.codings.undone:
            return 0
        return arrival.size

    def _open(self, response: aiohttp.ClientResponse, offset: int) -> None:
        """Get ready for the body of this answer, at the place where it belongs."""
        arrival = self._arrival
        refusal = answer.refusal(response.status, response.headers, self.where)
        if refusal is not None:
            if response.status == answer.NOT_SATISFIABLE:
                self._forget()
            raise refusal
        if response.status == 206 and not answer.is_whole(response.headers):
            if not offset or not answer.continues(response.headers, offset, self._version):
                self._forget()
                raise DownloadBroken(f"{self.where} sends another part of the picture than it was asked for")
            return
        arrival.start_over(response.headers.getall("Content-Encoding", []))
        self._version = answer.version(response.headers)
        self.whole = (
            self._version.total is not None or "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        )
        arrival.weigh(self._version.total or 0)

    def _forget(self) -> None:
        self._arrival.start_over()
        self._version = answer.Version()

    async def _receive(self, content: aiohttp.StreamReader) -> None:
        arrival, manners = self._arrival, self._manners
        since, received = manners.clock(), arrival.received
        while piece := await content.readany():
            for data in arrival.undone(piece):
                arrival.add(data)
                if arrival.codings.undone:
                    await checkpoint()  # a bomb must not hold up the others
            if arrival.is_page and arrival.size >= MOST_OF_A_PAGE:
                return
            elapsed = manners.clock() - since
            if elapsed >= manners.window:
                if arrival.received - received < manners.min_rate * elapsed:
                    raise DownloadBroken(f"{self.where} sends less than {manners.min_rate:g} bytes a second")
                since, received = manners.clock(), arrival.received
        if self._version.total not in (None, arrival.received):
            raise DownloadBroken(f"{self.where} sent {arrival.received} bytes of {self._version.total}")
        for data in arrival.undone_rest():
            arrival.add(data)
