import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from pipeline.download import answer
from pipeline.download.answer import Version
from pipeline.errors import DownloadBroken, GiveUp
from pipeline.http.sessions import AddressRefused

KEY = ConnectionKey("cdn.example", 443, True, True, None, None, None)
WHERE = "https://cdn.example/fox.png"


def improper(message: str) -> aiohttp.ClientResponseError:
    info = aiohttp.RequestInfo(URL(WHERE), "GET", CIMultiDictProxy(CIMultiDict()), URL(WHERE))
    return aiohttp.ClientResponseError(info, (), status=400, message=message)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "unknown")), "its host name can't be looked up"),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("self-signed")),
            "its certificate is not to be trusted",
        ),
        (
            aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(errno.ECONNREFUSED, "refused")),
            "can't connect: Connection refused",
        ),
        (aiohttp.ClientConnectorError(KEY, OSError()), "can't connect: the connection failed"),
        (aiohttp.ConnectionTimeoutError(), "it took too long"),
        (TimeoutError(), "it took too long"),
        (aiohttp.ServerDisconnectedError(), "the connection was cut"),
        (aiohttp.ClientPayloadError("SECRET"), "the connection was cut"),
        (aiohttp.ClientError("SECRET"), "no proper HTTP answer"),
        (improper("SECRET"), "no proper HTTP answer: its head or its framing breaks the rules of HTTP"),
        (improper("Got more than 8190 bytes when reading: b'SECRET'"), "no proper HTTP answer: a line .* is too long"),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError("SECRET")), r"no secure connection comes about \(TLS\)"),
    ],
)
def test_what_failed_is_said_in_words_of_our_own(error: Exception, words: str) -> None:
    verdict = answer.translated(WHERE, error)
    assert isinstance(verdict, DownloadBroken)
    with pytest.raises(DownloadBroken, match=f"^{WHERE}: {words}$"):
        raise verdict


@pytest.mark.parametrize(
    ("error", "cause"),
    [(aiohttp.ClientConnectorError(KEY, AddressRefused()), "download"), (aiohttp.InvalidURL("x?SECRET"), "lost")],
)
def test_an_unsafe_url_is_given_up(error: Exception, cause: str) -> None:
    verdict = answer.translated(WHERE, error)
    assert isinstance(verdict, GiveUp)
    assert verdict.cause == cause
    assert str(verdict).startswith("unsafe image URL")
    assert "SECRET" not in str(verdict)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, Version()),
        ({"ETag": '"v1"', "Last-Modified": "date", "Content-Length": "12"}, Version('"v1"', 12)),
        ({"ETag": 'W/"v1"', "Last-Modified": "date"}, Version("date")),
        ({"ETag": 'W/"v1"', "Content-Length": "-1"}, Version()),
        ({"Content-Length": "١٢"}, Version()),
    ],
)
def test_a_version_is_a_strong_tag_or_a_date(headers: dict[str, str], expected: Version) -> None:
    assert answer.version(headers) == expected


@pytest.mark.parametrize(
    ("headers", "known", "expected"),
    [
        ({"Content-Range": "bytes 5-9/10"}, Version('"v1"', 10), True),
        ({"Content-Range": "bytes 5-9/10", "ETag": '"v1"'}, Version('"v1"', 10), True),
        ({"Content-Range": "bytes 5-9/10", "ETag": '"v1"'}, Version("date", 10), True),
        ({"Content-Range": "bytes 5-9/*"}, Version('"v1"'), True),
        ({"Content-Range": "bytes 5-9/10", "ETag": '"v2"'}, Version('"v1"', 10), False),
        ({"Content-Range": "bytes 5-8/10"}, Version('"v1"', 10), False),
        ({"Content-Range": "bytes 5-8/9"}, Version('"v1"', 10), False),
        ({"Content-Range": "bytes 4-9/10"}, Version('"v1"', 10), False),
        ({"Content-Range": "items 5-9/10"}, Version('"v1"', 10), False),
    ],
)
def test_a_206_goes_on_only_with_the_very_rest_of_the_same_version(
    headers: dict[str, str], known: Version, expected: bool
) -> None:
    assert answer.continues(headers, 5, known) is expected


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 410, 418, 451, 499, 204, 205, 300, 304])
def test_what_says_not_with_the_picture_is_a_refusal_that_may_pass(status: int) -> None:
    error = answer.refusal(status, {}, WHERE)
    assert error is not None
    assert (error.refused, error.cause, str(error).startswith(f"{WHERE} answers {status}")) == (True, "download", True)


@pytest.mark.parametrize("status", [408, 416, 425, 429, 500, 502, 503, 504, 520, 599])
def test_what_says_later_is_no_refusal(status: int) -> None:
    error = answer.refusal(status, {"Retry-After": "7"}, WHERE)
    assert error is not None
    assert (error.refused, error.cause, error.retry_after) == (False, "download", None if status == 416 else 7)


@pytest.mark.parametrize("status", [200, 201, 203, 206])
def test_an_answer_with_content_is_judged_by_its_bytes(status: int) -> None:
    assert answer.refusal(status, {"Content-Encoding": "utf-8", "Content-Type": "text/html"}, WHERE) is None


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("bytes 0-99/100", True),
        ("bytes 0-0/1", True),
        (" bytes 0-99/100 ", True),
        ("bytes 0-98/100", False),
        ("bytes 1-99/100", False),
        ("bytes 0-99/*", False),
        ("bytes */100", False),
        ("pages 0-99/100", False),
        ("", False),
    ],
)
def test_a_part_that_is_all_of_a_picture_is_whole(text: str, whole: bool) -> None:
    assert answer.is_whole({"Content-Range": text} if text else {}) is whole
