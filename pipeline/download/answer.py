"""What a picture server's answer means. Pure: nothing here reads or writes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from pipeline.errors import DownloadBroken, GiveUp, TryAgain
from pipeline.retry_after import parse_retry_after
from pipeline.web import AddressRefused

REDIRECTS = frozenset({301, 302, 303, 307, 308})

_LATER = frozenset({408, 425, 429})
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
    """The error that a status stands for, or None where the answer carries the picture.

    A 4xx says that the picture is not there. A server behind a cache may say so of a picture that is there a moment
    later: so it is worth another try, and final only when no try is left.
    """
    if status in (200, 206):
        encoding = headers.get("Content-Encoding", "identity").strip().lower()
        if encoding in ("", "identity"):
            return None
        return DownloadBroken(f"{where} sends the picture compressed, unasked")
    if status in _LATER or status >= 500:
        pause = parse_retry_after(headers.get("Retry-After"), headers.get("Date"))
        return DownloadBroken(f"{where} answers {status}", pause)
    if 400 <= status < 500 and status != 416:
        return DownloadBroken(f"{where} answers {status}: the picture is not there, or not yet", refused=True)
    return DownloadBroken(f"{where} answers {status} where a picture was expected")


def version(headers: Mapping[str, str]) -> Version:
    """The version that a 200 carries."""
    etag = headers.get("ETag", "").strip()
    validator = etag if etag.startswith('"') else headers.get("Last-Modified", "").strip()
    length = headers.get("Content-Length", "")
    return Version(validator or None, int(length) if _LENGTH.fullmatch(length) else None)


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
        case TimeoutError():
            why = "it took too long"
        case aiohttp.ClientConnectorError():
            why = f"can't connect: {error.os_error.strerror or type(error.os_error).__name__}"
        case aiohttp.ClientPayloadError() | aiohttp.ClientConnectionError():
            why = "the connection was cut"
        case _:
            why = f"no proper HTTP answer ({type(error).__name__})"
    return DownloadBroken(f"{where}: {why}")
