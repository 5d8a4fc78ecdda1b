"""The client against servers that do what no server should, on real sockets."""

import asyncio
import gzip
import json
import resource
import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pipeline.errors import MaybeBilled, NotSent, PipelineError, UsageError
from pipeline.http.sessions import api_session
from pipeline.http.transport import PATH, Transport
from pipeline.http.wire import Answer
from pipeline.providers.aimlapi.shapes import understand
from pipeline.providers.aimlapi.verdict import verdict
from pipeline.settings import Endpoint, Key

SECRET = "sk-live-0123456789abcdef"
BODY = {"model": "m", "prompt": "a racoon"}
PAID = b'{"data": [{"url": "https://cdn.example.com/a.png"}]}'

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RawServer:
    """Answers every request with the same bytes, or with what a test does to the connection.

    Attributes:
        requests: What came in, request by request.
    """

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.answer = b""
        self.reads_request = True
        self.resets = False
        self.hangs = False
        self._ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.reads_request:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
            writer.write(self.answer)
            await writer.drain()
            if self.hangs:
                await self._ended.wait()
            if self.resets:
                linger = b"\x01\0\0\0\0\0\0\0"
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[str]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, **options)
        async with server:
            port = server.sockets[0].getsockname()[1]
            try:
                yield f"http://127.0.0.1:{port}"
            finally:
                self._ended.set()
                await asyncio.sleep(0)


@asynccontextmanager
async def http_server(handler: Handler) -> AsyncIterator[str]:
    """An ordinary server with one handler for everything."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def post(base: str, *, key: str | None = SECRET, timeout: float = 5.0, **options: Any) -> Answer:
    endpoint = Endpoint(base, Key(key) if key else None)
    async with api_session(concurrency=4, timeout=timeout) as session:
        return await Transport(session, endpoint, **options).post("run.key.000001", BODY)


async def failure(base: str, **options: Any) -> PipelineError:
    """What a POST fails with; the key is in nothing that could be shown of it."""
    with pytest.raises(PipelineError) as raised:
        await post(base, **options)
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value) + repr(raised.value.args)
    assert SECRET not in shown
    assert "Bearer" not in shown
    return raised.value


async def answer_to(raw: bytes, **options: Any) -> Answer:
    """What the client makes of these bytes."""
    server = RawServer()
    server.answer = raw
    async with server.running() as base:
        found = await post(base, **options)
    assert len(server.requests) == 1
    return found


# The request.


async def test_a_request_says_who_asks_what_under_which_label() -> None:
    seen: list[tuple[str, str, dict[str, str], Any]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, request.path, dict(request.headers), await request.json()))
        return web.Response(body=PAID, headers={"X-Inference-Id": "inf-1"})

    async with http_server(handler) as base:
        found = await post(base)
    assert found == Answer(200, found.headers, PAID)
    assert found.inference_id == "inf-1"
    ((method, path, headers, body),) = seen
    assert (method, path, body) == ("POST", PATH, BODY)
    assert headers["X-Client-Request-Id"] == "run.key.000001"
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert headers["Content-Type"] == "application/json"


async def test_without_a_key_none_is_sent() -> None:
    server = RawServer()
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    async with server.running() as base:
        await post(base, key=None)
    assert b"authorization" not in server.requests[0].lower()


async def test_nothing_of_the_environment_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert (await answer_to(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")).body == b"{}"


async def test_a_prompt_of_any_text_can_be_sent() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(await request.json())

    async with http_server(handler) as base, api_session(concurrency=1, timeout=5) as session:
        body = {"prompt": 'line\n"quoted" \u2028 🦝'}
        found = await Transport(session, Endpoint(base)).post("a", body)
    assert json.loads(found.body) == body


async def test_every_request_has_a_connection_of_its_own() -> None:
    ports: set[int] = set()

    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.Response(body=PAID)

    async with http_server(handler) as base, api_session(concurrency=4, timeout=5) as session:
        for _ in range(5):
            await Transport(session, Endpoint(base)).post("a", BODY)
    assert len(ports) == 5


# It never left.


async def test_a_refused_connection_was_not_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{unused.getsockname()[1]}"
        error = await failure(base)
    assert isinstance(error, NotSent)
    assert str(error) == f"{base}{PATH} can't be reached: Connection refused"


async def test_a_host_that_does_not_exist_was_not_sent() -> None:
    error = await failure("http://no-such-host.invalid")
    assert isinstance(error, NotSent)


async def test_a_server_that_speaks_no_tls_was_not_sent() -> None:
    server = RawServer()
    server.reads_request = False
    server.answer = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    async with server.running() as base:
        error = await failure(base.replace("http:", "https:"))
    assert isinstance(error, NotSent)


async def test_a_connection_that_is_never_made_was_not_sent() -> None:
    server = RawServer()
    server.reads_request = False
    server.hangs = True
    async with server.running() as base:
        # It accepts, and then its half of the TLS handshake never comes.
        error = await failure(base.replace("http:", "https:"), timeout=0.05)
    assert isinstance(error, NotSent)
    assert "the time was up" in str(error)


async def test_a_url_that_is_none_stops_the_run() -> None:
    error = await failure("nonsense")
    assert isinstance(error, UsageError)
    assert "correct the endpoint" in str(error)


# It left, and no answer came.


async def test_a_connection_reset_after_the_request_may_have_been_billed() -> None:
    server = RawServer()
    server.resets = True
    async with server.running() as base:
        error = await failure(base)
    assert isinstance(error, MaybeBilled)
    assert len(server.requests) == 1


async def test_a_connection_that_ends_without_an_answer_may_have_been_billed() -> None:
    server = RawServer()
    async with server.running() as base:
        error = await failure(base)
    assert isinstance(error, MaybeBilled)
    assert str(error) == "no answer came: the server closed the connection"
    assert len(server.requests) == 1


async def test_a_connection_that_ends_before_the_request_was_read_may_have_been_billed() -> None:
    server = RawServer()
    server.reads_request = False
    server.resets = True
    async with server.running() as base:
        error = await failure(base)
    # The request was in the network by then: nobody can say how far it came.
    assert isinstance(error, MaybeBilled)


async def test_an_answer_that_never_comes_may_have_been_billed() -> None:
    server = RawServer()
    server.hangs = True
    async with server.running() as base:
        error = await failure(base, timeout=0.05)
    assert isinstance(error, MaybeBilled)
    assert str(error) == "no answer came: the time was up"


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX-Null: a\0b\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(100_000)) + b"\r\n{}",
    ],
    ids=lambda raw: raw[:44].decode("latin-1"),
)
async def test_an_answer_that_is_no_http_may_have_been_billed(raw: bytes) -> None:
    server = RawServer()
    server.answer = raw
    async with server.running() as base:
        error = await failure(base)
    assert isinstance(error, MaybeBilled)
    assert len(str(error)) < 200


# It came in part.


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + PAID,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n" + PAID[:20],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n" + PAID[:20] + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!",
    ],
    ids=["length", "within a chunk", "between chunks", "no gzip"],
)
async def test_an_answer_that_was_cut_off_is_not_whole_and_paid_for_all_the_same(raw: bytes) -> None:
    found = await answer_to(raw)
    assert found.status == 200
    assert not found.whole
    assert verdict(found) is None


async def test_what_came_of_a_cut_answer_is_kept() -> None:
    found = await answer_to(b"HTTP/1.1 200 OK\r\nX-Inference-Id: i-1\r\nContent-Length: 500\r\n\r\n" + PAID)
    assert (found.body, found.inference_id) == (PAID, "i-1")


async def test_an_answer_that_ends_with_its_connection_is_taken_as_whole() -> None:
    # Nothing in HTTP tells a cut from an end here; the JSON does, later.
    found = await answer_to(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PAID[:20])
    assert found == Answer(200, found.headers, PAID[:20])
    with pytest.raises(ValueError):
        understand(found)


async def test_a_compressed_answer_that_was_cut_before_it_was_sent_can_not_be_read() -> None:
    packed = gzip.compress(PAID * 9)[:30]
    found = await answer_to(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 30\r\n\r\n" + packed)
    with pytest.raises(ValueError):
        understand(found)


async def test_an_answer_whose_end_never_comes_is_not_whole() -> None:
    server = RawServer()
    server.hangs = True
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + PAID
    async with server.running() as base:
        found = await post(base, timeout=0.1)
    assert not found.whole
    assert found.body == PAID


async def test_a_connection_reset_within_the_answer_is_not_whole() -> None:
    server = RawServer()
    server.resets = True
    server.answer = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 500\r\n\r\n<html>"
    async with server.running() as base:
        found = await post(base)
    assert (found.status, found.whole) == (502, False)
    assert isinstance(verdict(found), MaybeBilled)


# It is too much.


async def test_an_answer_over_the_limit_is_not_read_to_its_end() -> None:
    written = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)
            written += 65_536

    async with http_server(endless) as base:
        found = await post(base, max_answer=100_000)
    assert not found.whole
    assert len(found.body) < 1_000_000
    assert written < 20_000_000


async def test_an_answer_of_exactly_the_limit_is_whole() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PAID) + PAID
    assert (await answer_to(raw, max_answer=len(PAID))).whole
    assert not (await answer_to(raw, max_answer=len(PAID) - 1)).whole


async def test_a_decompression_bomb_does_not_go_off() -> None:
    bomb = gzip.compress(bytes(200_000_000), compresslevel=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    raw = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
    found = await answer_to(raw, max_answer=1_000_000)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert not found.whole
    assert len(found.body) < 20_000_000
    assert grown < 100_000_000 / 1024


async def test_a_compressed_answer_is_read() -> None:
    packed = gzip.compress(PAID)
    found = await answer_to(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    )
    assert found == Answer(200, found.headers, PAID)


# Redirects, statuses, certificates.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(status: int) -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(f"{request.method} {request.path}")
        return web.Response(status=status, headers={"Location": "/elsewhere?token=1"})

    async with http_server(handler) as base:
        found = await post(base)
    assert seen == [f"POST {PATH}"]
    assert isinstance(verdict(found), UsageError)


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
async def test_an_error_answer_is_an_answer(status: int) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.json_response({"message": "no", "requestId": "r"}, status=status, headers={"Retry-After": "7"})

    async with http_server(handler) as base:
        found = await post(base)
    assert (found.status, found.whole, found.headers["retry-after"]) == (status, True, "7")


async def test_a_certificate_that_nobody_trusts_stops_the_run(tmp_path: Any) -> None:
    certificate = tmp_path / "certificate.pem"
    certificate.write_text(SELF_SIGNED)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = RawServer()
    async with server.running(ssl=context) as base:
        error = await failure(base.replace("http:", "https:"))
    assert isinstance(error, UsageError)
    assert "certificate" in str(error)
    assert server.requests == []


# The key.


async def test_a_key_that_the_server_echoes_does_not_survive() -> None:
    async def echo(request: web.Request) -> web.Response:
        sent = dict(request.headers)
        return web.json_response({"message": f"wrong: {sent}"}, status=400, headers={"X-Inference-Id": f"i-{SECRET}"})

    async with http_server(echo) as base:
        found = await post(base)
    assert SECRET.encode() not in found.body
    assert SECRET not in str(found.headers)
    assert SECRET not in str(verdict(found))
    assert found.inference_id == "i-***"


async def test_a_key_too_short_to_be_a_secret_changes_nothing_of_an_answer() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PAID) + PAID
    assert (await answer_to(raw, key="data")).body == PAID


async def test_no_exception_below_ours_can_be_printed_with_the_key() -> None:
    server = RawServer()
    server.answer = b"HTTP/1.1 abc\r\n\r\n"
    async with server.running() as base:
        with pytest.raises(MaybeBilled) as raised:
            await post(base)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    # What it keeps the key away from: aiohttp's own error holds the headers of the request.
    assert isinstance(raised.value.__context__, aiohttp.ClientError)


async def test_a_cancelled_request_stays_cancelled() -> None:
    server = RawServer()
    server.hangs = True
    async with server.running() as base:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await post(base)
    assert len(server.requests) == 1


# Made for this test alone; it opens nothing.
SELF_SIGNED = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgawSeP6503pfXPe7T
jm7dvNS6IjOd2g3ihfltcwZGceGhRANCAAR8ltp9g6GNn8GF12a5kBtPK0x4D4aK
OxBoBokaw7cCt4IIVfYqDy4dyG1tKb3TYNOzFuA+4Bm2dKMnHT59tkIm
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBkDCCATagAwIBAgIUYLt6yzZ/d8xyU5gEv8fQLs1LmhEwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyMzA5MDIzMVoYDzIxMjYxMDMw
MDkwMjMxWjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAR8ltp9g6GNn8GF12a5kBtPK0x4D4aKOxBoBokaw7cCt4IIVfYqDy4d
yG1tKb3TYNOzFuA+4Bm2dKMnHT59tkImo2QwYjAdBgNVHQ4EFgQUUO3t9qrzzhxS
qbiZa+WRJ/AudS8wHwYDVR0jBBgwFoAUUO3t9qrzzhxSqbiZa+WRJ/AudS8wDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0gAMEUC
IQClOdKClRUkD618GxVZLUTJZdCEUbqohKCgNnN1Wc/cEQIgfQjC2f2RojdqLPCF
5FKcQ3sxzLhJ+QappfWFfLEVVKc=
-----END CERTIFICATE-----
"""
