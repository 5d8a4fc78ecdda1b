"""What a picture server's answer means. Pure: nothing here reads or writes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from pipeline.errors import DownloadBroken, GiveUp, TryAgain
from pipeline.http.retry_after import parse_retry_after
from pipeline.http.sessions import AddressRefused
from pipeline.http.unanswered import reason

REDIRECTS = frozenset({301, 302, 303, 307, 308})

_LATER = frozenset({408, 425, 429})
_NO_CONTENT = frozenset({204, 205})
NOT_SATISFIABLE = 416
_NOT_THERE = "the picture is not there, or not yet, or no longer"
_MEANS = {
    401: "it wants a password",
    403: "it may not be fetched: not yet, no longer, or not by this machine",
    451: "it is withheld for legal reasons",
}
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Version:
    """Which version of a picture a server is sending, so that a later request can ask for the rest of the same.

    Attributes:
        validator: A strong ETag or a date of modification, for `If-Range`; None: no rest can be asked for.
        total: Bytes of the whole picture, where the server says.
    """

    validator: str | None = None
    total: int | None = None


def refusal(status: int, headers: Mapping[str, str], where: str) -> DownloadBroken | None:
    """The error that a status stands for, or None where the answer may carry the picture.

    A 4xx says that the picture is not there, and so does an answer without content. A server behind a cache may say
    so of a picture that is there a moment later, and one that refuses everybody of all of them: it proves nothing.
    """
    if 200 <= status < 300 and status not in _NO_CONTENT:
        return None
    if status in _LATER or status >= 500:
        pause = parse_retry_after(headers.get("Retry-After"), headers.get("Date"))
        return DownloadBroken(f"{where} answers {status}", pause)
    if status == NOT_SATISFIABLE:
        return DownloadBroken(f"{where} answers {status} where a picture was expected")
    if 400 <= status < 500:
        return DownloadBroken(f"{where} answers {status}: {_MEANS.get(status, _NOT_THERE)}", refused=True)
    return DownloadBroken(f"{where} answers {status} where a picture was expected", refused=True)


def version(headers: Mapping[str, str]) -> Version:
    """The version that a 200 carries."""
    etag = headers.get("ETag", "").strip()
    validator = etag if etag.startswith('"') else headers.get("Last-Modified", "").strip()
    length = headers.get("Content-Length", "")
    return Version(validator or None, int(length) if _LENGTH.fullmatch(length) else None)


def is_whole(headers: Mapping[str, str]) -> bool:
    """Whether a 206 carries all bytes of the picture, from the first to the last: as good as a 200."""
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    return found is not None and found[1] == "0" and found[3] != "*" and int(found[2]) == int(found[3]) - 1


def continues(headers: Mapping[str, str], offset: int, known: Version) -> bool:
    """Whether a 206 carries just the bytes from `offset` to the end of the version that is known."""
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if not found or int(found[1]) != offset:
        return False
    total = None if found[3] == "*" else int(found[3])
    if total is not None and (int(found[2]) != total - 1 or known.total not in (None, total)):
        return False
    etag = headers.get("ETag", "").strip()
    return not etag.startswith('"') or etag == known.validator or not (known.validator or "").startswith('"')


def translated(where: str, error: Exception) -> TryAgain | GiveUp:
    """What a failure on the way means. The error's own text is not shown: it may hold a signed URL."""
    match error:
        case aiohttp.ClientConnectorError(os_error=AddressRefused() as refused):
            return GiveUp(f"unsafe image URL: {where} leads to {refused.strerror}", cause="download")
        case aiohttp.InvalidURL():
            return GiveUp(f"unsafe image URL: {where} names no host", cause="lost")
        case aiohttp.ClientConnectorDNSError():
            why = "its host name can't be looked up"
        case aiohttp.ClientConnectorCertificateError():
            why = "its certificate is not to be trusted"
        case aiohttp.ClientSSLError():
            why = "no secure connection comes about (TLS)"
        case TimeoutError():
            why = "it took too long"
        case aiohttp.ClientConnectorError():
            why = f"can't connect: {reason(error.os_error)}"
        case aiohttp.ClientPayloadError() | aiohttp.ClientConnectionError():
            why = "the connection was cut"
        case aiohttp.ClientResponseError():
            why = f"no proper HTTP answer: {_improper(error.message)}"
        case _:
            why = "no proper HTTP answer"
    return DownloadBroken(f"{where}: {why}")


_IMPROPER = (
    ("Got more than", "a line of its head is too long"),
    ("Too many headers", "it has too many header fields"),
    ("Duplicate Content-Length", "it names its length twice"),
    ("Content-Length can't be present", "it names its length in two ways that exclude each other"),
    ("Content-Length overflow", "the length that it names is beyond all measure"),
    ("Invalid character in Content-Length", "the length that it names is no number"),
    ("Invalid character in chunk", "a chunk of its body is malformed"),
    ("Data after", "more comes than the length that it names"),
    ("Bad status line", "it does not begin as one"),
    ("Invalid header", "a header field of it has a name or a value that none may have"),
    ("Invalid HTTP header", "a header field of it has a name or a value that none may have"),
)
"""How aiohttp's reasons begin, and what they mean. What comes after those words is the server's own."""


def _improper(message: str) -> str:
    found = (words for start, words in _IMPROPER if message.lstrip().startswith(start))
    return next(found, "its head or its framing breaks the rules of HTTP")
