import errno
import ipaddress
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web as server

from pipeline.http.resolver import DaemonResolver
from pipeline.http.sessions import AddressRefused, Sent, api_session, cdn_session
from pipeline.http.ssrf import is_public


class Seen:
    """A server that remembers the requests and connections it has seen."""

    def __init__(self) -> None:
        self.requests: list[server.BaseRequest] = []
        self.connections: set[object] = set()
        self.port = 0

    async def answer(self, request: server.BaseRequest) -> server.Response:
        self.requests.append(request)
        self.connections.add(request.transport)
        return server.Response(
            body=bytes(4_000_000 if request.path == "/large" else 5), headers={"Set-Cookie": "session=1; Path=/"}
        )


@asynccontextmanager
async def serving() -> AsyncIterator[Seen]:
    seen = Seen()
    runner = server.ServerRunner(server.Server(seen.answer))
    await runner.setup()
    site = server.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    seen.port = runner.addresses[0][1]
    try:
        yield seen
    finally:
        await runner.cleanup()


def sessions() -> list[aiohttp.ClientSession]:
    return [api_session(concurrency=2, timeout=5), cdn_session(downloads=2, allow_private=True)]


async def test_no_session_sends_credentials_cookies_or_anything_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with serving() as seen:
        for session in sessions():
            async with session:
                for _ in range(2):
                    async with session.get(f"http://127.0.0.1:{seen.port}/") as response:
                        assert response.status == 200
                        await response.read()
    assert len(seen.requests) == 4
    for request in seen.requests:
        assert not {"Authorization", "Cookie", "Proxy-Authorization"} & set(request.headers)


async def test_paid_requests_never_share_a_connection_and_downloads_do() -> None:
    for session, connections in zip(sessions(), (3, 1), strict=True):
        async with serving() as seen, session:
            for _ in range(3):
                async with session.get(f"http://127.0.0.1:{seen.port}/") as response:
                    await response.read()
        assert len(seen.connections) == connections


async def test_pictures_are_asked_for_and_taken_as_they_are() -> None:
    async with serving() as seen, cdn_session(downloads=1, allow_private=True) as session:
        async with session.get(f"http://127.0.0.1:{seen.port}/") as response:
            await response.read()
        assert seen.requests[0].headers["Accept-Encoding"] == "identity"
        assert session.auto_decompress is False


async def test_a_request_that_left_is_told_from_one_that_never_did() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = unused.getsockname()[1]
        async with serving() as seen, api_session(concurrency=1, timeout=5) as session:
            gone, kept = Sent(), Sent()
            async with session.post(f"http://127.0.0.1:{seen.port}/", data=b"{}", trace_request_ctx=gone):
                pass
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.post(f"http://127.0.0.1:{dead}/", data=b"{}", trace_request_ctx=kept)
            async with session.get(f"http://127.0.0.1:{seen.port}/", trace_request_ctx=SimpleNamespace()):
                pass
    assert (gone.sent, kept.sent) == (True, False)


async def test_a_request_is_marked_as_sent_when_its_answer_never_comes() -> None:
    async def hang_up(request: server.BaseRequest) -> server.Response:
        assert request.transport is not None
        request.transport.abort()
        return server.Response()

    runner = server.ServerRunner(server.Server(hang_up))
    await runner.setup()
    await server.TCPSite(runner, "127.0.0.1", 0).start()
    sent = Sent()
    async with api_session(concurrency=1, timeout=5) as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(f"http://127.0.0.1:{runner.addresses[0][1]}/", data=b"{}", trace_request_ctx=sent)
    await runner.cleanup()
    assert sent.sent


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="macOS names it otherwise")
async def test_connections_send_keepalive_probes() -> None:
    async with serving() as seen:
        for session in sessions():
            async with session, session.get(f"http://127.0.0.1:{seen.port}/large") as response:
                assert response.connection is not None
                assert response.connection.transport is not None
                sock = response.connection.transport.get_extra_info("socket")
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
                assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [20, 10, 6]


def test_a_system_without_these_options_still_gets_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.http.sessions import _kept_alive

    for name in ("TCP_KEEPIDLE", "TCP_KEEPALIVE", "TCP_KEEPINTVL", "TCP_KEEPCNT"):
        monkeypatch.delattr(socket, name, raising=False)
    with _kept_alive((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "0x7f000001", "2130706433", "127.1", "127。0。0。1", "[::ffff:127.0.0.1]", "localhost", "0.0.0.0"],
)
async def test_no_spelling_of_loopback_is_connected_to(host: str) -> None:
    async with serving() as seen, cdn_session(downloads=1, allow_private=False) as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get(f"http://{host}:{seen.port}/")
        if isinstance(caught.value, aiohttp.ClientConnectorError):
            assert isinstance(caught.value.os_error, AddressRefused)
    assert not seen.connections


async def test_a_name_that_leads_inside_is_refused_at_the_moment_of_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    def rebinding(*_: object) -> list[object]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 80)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fd00:ec2::254", 80, 0, 0)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    async with cdn_session(downloads=1, allow_private=False) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get("http://pictures.example/")
    assert isinstance(caught.value.os_error, AddressRefused)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "168.63.129.16", "169.254.169.254"),
        *("172.16.0.1", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1"),
        *("203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:10.0.0.1", "64:ff9b::7f00:1"),
        *("64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1"),
        *("fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "", "localhost"),
    ],
)
def test_reserved_and_embedding_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "104.16.0.1", "2606:4700::1111", "2a00:1450:4001::8"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)
    assert ipaddress.ip_address(address).is_global


async def test_names_are_looked_up() -> None:
    found = await DaemonResolver().resolve("localhost", 80, socket.AF_INET)
    assert [(result["host"], result["port"]) for result in found] == [("127.0.0.1", 80)]
    await DaemonResolver().close()


async def test_link_local_answers_keep_their_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 80, 0, 3)),
        (99, socket.SOCK_STREAM, 6, "", ("elsewhere",)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: answers)
    assert [result["host"] for result in await DaemonResolver().resolve("near.example")] == ["fe80::1%3"]


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_NONAME, "unknown"), UnicodeError("label too long")])
async def test_a_lookup_that_fails_is_an_os_error(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(OSError) as caught:
        await DaemonResolver().resolve("nowhere.example")
    assert caught.value.errno in (socket.EAI_NONAME, errno.EINVAL)


HUNG = """
import asyncio, socket, time
from pipeline.http.sessions import api_session
socket.getaddrinfo = lambda *_: time.sleep(60)
async def main():
    async with api_session(concurrency=1, timeout=0.05) as session:
        try:
            await session.get("http://slow.example/")
        except TimeoutError:
            print("timed out")
asyncio.run(main())
"""


def test_a_name_server_that_hangs_does_not_hold_up_the_exit() -> None:
    done = subprocess.run([sys.executable, "-c", HUNG], capture_output=True, text=True, timeout=20, check=True)
    assert (done.stdout, done.stderr) == ("timed out\n", "")
