"""One POST to the API: bytes out, bytes in, and whether they may have been billed. It tries once and judges nothing."""

import errno
import json
import math
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import anyio

from pipeline.errors import MaybeBilled, NotSent, PipelineError, UsageError
from pipeline.http.byte_budget import ByteBudget, Share
from pipeline.http.redact import without_key
from pipeline.http.sessions import Sent
from pipeline.http.unanswered import malformed, why
from pipeline.http.wire import Answer
from pipeline.settings import Endpoint

PATH = "/v1/images/generations"

MAX_ANSWER = 48 * 1024 * 1024
"""Bytes of an answer that are read: four pictures in base64 fit, a decompression bomb does not."""

LARGE = 256 * 1024
"""Bytes above which an answer takes its share of the memory that all of them may fill together."""


@dataclass(slots=True)
class _Incoming:
    """An answer as far as it has come."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    whole: bool = False


class Transport:
    """The API behind one endpoint.

    Attributes:
        url: Where the requests go.
        setting: What named that place.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: Endpoint,
        *,
        max_answer: int = MAX_ANSWER,
        room: ByteBudget | None = None,
    ) -> None:
        self._session = session
        self.url = endpoint.base + PATH
        self.setting = endpoint.setting
        self._key = endpoint.key
        self._max_answer = max_answer
        self._room = room or ByteBudget()
        # Ours instead of aiohttp's, which would go on while we make an answer wait.
        self._seconds = session.timeout.total or math.inf
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=session.timeout.sock_connect)

    def share(self) -> Share:
        """What one answer may take of the memory for answers, for `post`; to be held while its body is."""
        return self._room.share()

    async def post(
        self, attempt: str, body: Mapping[str, Any], sent: Sent | None = None, share: Share | None = None
    ) -> Answer:
        """Send one request and read its answer, whatever its status.

        Args:
            attempt: Goes out as `X-Client-Request-Id`.
            body: The JSON body.
            sent: Told when the request begins to leave, for whoever cancels this.
            share: What the answer takes of the memory for answers; without it, that is given back when it is read.

        Raises:
            NotSent: The request never left this machine.
            MaybeBilled: It left, and no answer came, or one that is not HTTP.
            UsageError: The server's certificate is not trusted, or its URL is none: no attempt can ever succeed.
        """
        sent = sent or Sent()
        try:
            if share is not None:
                return await self._exchange(attempt, body, sent, share)
            with self._room.share() as own:
                return await self._exchange(attempt, body, sent, own)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._failure(error, sent) from None

    async def _exchange(self, attempt: str, body: Mapping[str, Any], sent: Sent, share: Share) -> Answer:
        incoming = _Incoming()
        with anyio.CancelScope(deadline=anyio.current_time() + self._seconds) as clock:
            async with self._session.post(
                self.url,
                data=json.dumps(body).encode(),
                headers=self._headers(attempt),
                allow_redirects=False,
                trace_request_ctx=sent,
                timeout=self._timeout,
            ) as response:
                incoming.status = response.status
                incoming.headers = {name.lower(): value for name, value in response.headers.items()}
                await self._read(response, incoming, share, clock)
        if not incoming.status:
            raise TimeoutError
        share.complete()
        answer = Answer(incoming.status, incoming.headers, incoming.body, incoming.whole)
        return without_key(answer, self._key)

    def _failure(self, error: Exception, sent: Sent) -> PipelineError:
        """What a failure on the way means: the texts of some hold the request's headers, and are not shown."""
        if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
            return UsageError(
                f"the certificate of {self.url} is not trusted{_why_not_trusted(error)}: check the endpoint; "
                "SSL_CERT_FILE can name a file of further certificates to trust"
            )
        if isinstance(error, aiohttp.InvalidURL):
            return UsageError(f"{self.url} is no URL that can be asked; correct the endpoint")
        if isinstance(error, aiohttp.ClientHttpProxyError) and error.status == 407:
            return UsageError("the proxy asks for a user name and a password (407): put them into HTTPS_PROXY's URL")
        what = why(error)
        if not sent.sent:
            return NotSent(f"{self.url} can't be reached: {what}", local=_is_local(error))
        wrong = malformed(error)
        if wrong is None:
            return MaybeBilled(f"no answer came: {what}")
        failure = MaybeBilled(f"an answer came that can't be read: {wrong}")
        failure.malformed = True
        return failure

    def _headers(self, attempt: str) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "X-Client-Request-Id": attempt}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return headers

    async def _read(
        self, response: aiohttp.ClientResponse, incoming: _Incoming, share: Share, clock: anyio.CancelScope
    ) -> None:
        body = incoming.body
        try:
            async for chunk in response.content.iter_any():
                if len(body) + len(chunk) > LARGE and not share.took(size := len(body) + len(chunk) - share.held):
                    # It is we who make it wait: that does not count.
                    left, clock.deadline = clock.deadline - anyio.current_time(), math.inf
                    await share.take(size)
                    clock.deadline = anyio.current_time() + left
                body += chunk
                if len(body) > self._max_answer:
                    # Nobody can read it: enough is kept for a person to see what it was.
                    del body[LARGE:]
                    return
            incoming.whole = True
        except (aiohttp.ClientError, TimeoutError, OSError):
            return


def _why_not_trusted(error: Exception) -> str:
    cause = error.certificate_error if isinstance(error, aiohttp.ClientConnectorCertificateError) else error
    said = getattr(cause, "verify_message", "")
    return f" ({said})" if isinstance(said, str) and said else ""


def _is_local(error: Exception) -> bool:
    """Whether it failed for want of file descriptors."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE)
