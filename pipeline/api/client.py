"""One POST to the API: bytes out, bytes in, and whether they may have been billed. It tries once and judges nothing."""

import base64
import errno
import json
import os
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import aiohttp
import anyio

from pipeline.api.wire import Answer
from pipeline.errors import MaybeBilled, NotSent, UsageError
from pipeline.settings import Endpoint
from pipeline.web import Sent

PATH = "/v1/images/generations"

MAX_ANSWER = 48 * 1024 * 1024
"""Bytes of an answer that are read: four pictures in base64 fit, a decompression bomb does not."""

LARGE = 256 * 1024
"""Bytes above which only one answer is read at a time, so that many of them do not fill the memory together."""


_SHORTEST_SECRET = 12
"""Characters from which on a key is looked for in answers; a local server's `none` or `x` occurs in any of them."""


class Client:
    """The API behind one endpoint."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: Endpoint, *, max_answer: int = MAX_ANSWER) -> None:
        self._session = session
        self._url = endpoint.base + PATH
        self._key = endpoint.key
        self._max_answer = max_answer
        self._large = anyio.Lock()

    async def post(self, attempt: str, body: Mapping[str, Any], sent: Sent | None = None) -> Answer:
        """Send one request and read its answer, whatever its status.

        Args:
            attempt: Goes out as `X-Client-Request-Id`.
            body: The JSON body.
            sent: Told when the request begins to leave, for whoever cancels this.

        Raises:
            NotSent: The request never left this machine.
            MaybeBilled: It left, and no answer came.
            UsageError: The server's certificate is not trusted, or its URL is none: no attempt can ever succeed.
        """
        sent = sent or Sent()
        try:
            async with self._session.post(
                self._url,
                data=json.dumps(body).encode(),
                headers=self._headers(attempt),
                allow_redirects=False,
                trace_request_ctx=sent,
            ) as response:
                return await self._read(response)
        except (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError):
            raise UsageError(f"the certificate of {self._url} is not trusted; check the endpoint") from None
        except aiohttp.InvalidURL:
            raise UsageError(f"{self._url} is no URL that can be asked; correct the endpoint") from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # Only the type is told: the texts of some of these hold the request's headers, and with them the key.
            what = _describe(error)
            if sent.sent:
                raise MaybeBilled(f"no answer came: {what}") from None
            raise NotSent(f"{self._url} can't be reached: {what}", local=_is_local(error)) from None

    def _headers(self, attempt: str) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "X-Client-Request-Id": attempt}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return headers

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        body, whole = bytearray(), True
        async with AsyncExitStack() as turn:
            try:
                async for chunk in response.content.iter_any():
                    if len(body) <= LARGE < len(body) + len(chunk):
                        await turn.enter_async_context(self._large)
                    body += chunk
                    if len(body) > self._max_answer:
                        # Nobody can read it: enough is kept for a person to see what it was.
                        del body[LARGE:]
                        whole = False
                        break
            except (aiohttp.ClientError, TimeoutError, OSError):
                whole = False
            return self._without_key(Answer(response.status, headers, bytes(body), whole))

    def _without_key(self, answer: Answer) -> Answer:
        """The answer without our key, should the server have echoed it: from here on it could end up anywhere."""
        headers, body = answer.headers, answer.body
        # Not kept at hand: whoever prints this object must find no key.
        for secret in _forms(self._key.reveal()) if self._key else ():
            if secret.encode() in body:
                body = body.replace(secret.encode(), b"***")
            headers = {name: value.replace(secret, "***") for name, value in headers.items()}
        return replace(answer, headers=headers, body=body)


def _forms(key: str) -> tuple[str, ...]:
    """A key as it is and as servers may write it: escaped in JSON, percent-encoded, in base64 and in hex."""
    if len(key) < _SHORTEST_SECRET:
        return ()
    encoded = (base64.b64encode(key.encode()).decode().rstrip("="), key.encode().hex(), quote(key, safe=""))
    return tuple(dict.fromkeys((key, key.replace("/", "\\/"), *encoded)))


def _is_local(error: Exception) -> bool:
    """Whether it failed for want of file descriptors."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE)


def _describe(error: Exception) -> str:
    """An exception in words that hold nothing secret."""
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        # What asyncio makes of a refusal is a list of addresses.
        refused = isinstance(cause, ConnectionError) and cause.errno
        return os.strerror(refused) if refused else cause.strerror or type(cause).__name__
    if isinstance(error, TimeoutError):
        return "the time was up"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
