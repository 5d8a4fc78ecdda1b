"""Why a request got no answer, in words that hold nothing secret: an exception's own text may hold URLs and headers."""

import os
import re
from collections.abc import Iterator

import aiohttp
from aiohttp.http_exceptions import BadStatusLine, HttpProcessingError, LineTooLong

from pipeline.http.sessions import MAX_HEADER, MAX_HEADERS


def why(error: Exception) -> str:
    """Why no answer came."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answers {error.status}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"the proxy can't be reached ({reason(error.os_error)})"
    if isinstance(error, aiohttp.ClientConnectorError):
        return reason(error.os_error)
    if isinstance(error, TimeoutError):
        return "the time was up"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection"
    if isinstance(error, OSError):
        return reason(error)
    return "no proper HTTP answer"


def reason(error: OSError) -> str:
    """What the system says of a connection that failed."""
    if isinstance(error, ConnectionError) and error.errno:
        # What asyncio makes of a refusal is a list of addresses.
        return os.strerror(error.errno)
    return error.strerror or "the connection failed"


_REASON = re.compile(r"[A-Za-z][A-Za-z ,'-]{5,80}")


def malformed(error: Exception) -> str | None:
    """What is wrong with an answer that is not valid HTTP, in words; None where the error is about something else.

    Nothing of the answer's own bytes is in it: they may hold what the request said.
    """
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return None
    causes = [one for one in _chain(error) if isinstance(one, HttpProcessingError)]
    if not causes:
        return None
    said = causes[-1].message.strip().partition("\n")[0]
    if any(isinstance(one, LineTooLong) for one in causes):
        return f"a line of its head is longer than {MAX_HEADER // 1024} KiB"
    if "too many headers" in said.lower():
        return f"its head has more than {MAX_HEADERS} lines"
    if any(isinstance(one, BadStatusLine) for one in causes):
        return "its first line is not the start of an HTTP answer"
    found = _REASON.match(said)
    return f"its head is not valid HTTP ({found[0].strip().lower()})" if found else "its head is not valid HTTP"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those it was made from: aiohttp's parser keeps the first one, which says the kind, in there."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
