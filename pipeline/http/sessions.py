"""The only place where HTTP sessions are made: one for the API, one for pictures, with nothing shared between them.

Neither keeps cookies nor reads passwords from the environment (`.netrc`), and neither has a header with a credential
by default: a default header also goes where a redirect or a picture's URL leads. Which proxy a request goes through
is decided here for each request (`proxies`), so that redirects are decided about as well.
"""

import errno
import socket
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp.tracing import Trace
from yarl import URL

from pipeline.http.resolver import DaemonResolver
from pipeline.http.ssrf import is_inside, is_metadata, is_public, names_metadata, written_in
from pipeline.proxies import Proxy
from pipeline.settings import Network

CONNECT_TIMEOUT = 30.0
"""Seconds that a connection may take, TLS included."""

MAX_HEADER = 64 * 1024
"""Bytes that one header line of an answer may have; a browser takes as much."""

MAX_HEADERS = 512
"""Header lines that an answer may have."""

Address = tuple[int, int, int, str, tuple[Any, ...]]
"""Family, type, protocol, canonical name and socket address, as `getaddrinfo` gives them."""

Guard = Callable[[Address], socket.socket]
"""Makes the socket to an address, or raises `AddressRefused`."""

Check = Callable[[str, int | None], None]
"""Looks at the host and port that a proxy is to be asked for, and may raise `AddressRefused`."""


@dataclass(slots=True)
class Sent:
    """Given to a request as `trace_request_ctx`; says whether the request has begun to leave this machine.

    As long as it has not, trying again costs nothing.
    """

    sent: bool = False


PORTS = frozenset({80, 443})
"""Where pictures are served on the internet. On other ports something else listens that a GET may do harm to."""


class AddressRefused(PermissionError):
    """A picture's URL leads to an address that is not on the public internet, or to no web server's port there."""

    def __init__(self, why: str = "a private or reserved address") -> None:
        # The same words for every address: aiohttp keeps the type of the error only when all attempts agree on them.
        super().__init__(errno.EACCES, why)


class _Connector(aiohttp.TCPConnector):
    """Connections that go through a proxy where there is one for the URL.

    Args:
        network: Says through which.
        guard: Makes the sockets of connections without a proxy.
        check: Refuses what a proxy must not be asked for; its own address is the user's choice and is not checked.
    """

    def __init__(self, network: Network, guard: "Guard", check: "Check | None", **options: Any) -> None:
        self._network = network
        self._guard = guard
        self._check = check
        super().__init__(
            resolver=DaemonResolver(),
            socket_factory=self._socket,
            ssl=_trusted(network),
            **options,
        )

    def _socket(self, address: Address) -> socket.socket:
        return _kept_alive(address) if _VIA_PROXY.get() else self._guard(address)

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> aiohttp.connector.Connection:
        """A connection for a request, told which proxy it goes through."""
        proxy = self._network.proxies.of(req.url.scheme, req.url.raw_host or "", req.url.port)
        if proxy is None:
            return await super().connect(req, traces, timeout)
        if self._check is not None:
            try:
                self._check(req.url.raw_host or "", req.url.port)
            except AddressRefused as refused:
                raise aiohttp.ClientConnectorError(req.connection_key, refused) from None
        _send_through(req, proxy, self._network.user_agent)
        # In a variable of this task: the factory is told the address alone, and a proxy may well have a private one.
        before = _VIA_PROXY.set(True)
        try:
            return await super().connect(req, traces, timeout)
        finally:
            _VIA_PROXY.reset(before)


_VIA_PROXY: ContextVar[bool] = ContextVar("via_proxy", default=False)


def _send_through(req: aiohttp.ClientRequest, proxy: Proxy, user_agent: str) -> None:
    told = {"User-Agent": user_agent}
    if proxy.authorization is not None:
        if req.is_ssl():
            # For the proxy alone: what is inside the tunnel is for the server.
            told["Proxy-Authorization"] = proxy.authorization
        else:
            req.headers["Proxy-Authorization"] = proxy.authorization
    req.update_proxy(URL(proxy.url), None, told)


def _trusted(network: Network) -> ssl.SSLContext | bool:
    """Whose certificates are trusted: those that SSL_CERT_FILE and SSL_CERT_DIR name, or else the system's."""
    if not network.cert_file and not network.cert_dir:
        return True
    return ssl.create_default_context(cafile=network.cert_file, capath=network.cert_dir)


def api_session(*, concurrency: int, timeout: float, network: Network | None = None) -> aiohttp.ClientSession:
    """The session for paid requests.

    Every request has a connection of its own: on one kept alive, a reset would leave open whether it was billed.
    Probes keep middleboxes from cutting a connection that waits for a picture.

    Args:
        concurrency: Requests in flight at once, at most.
        timeout: Seconds for the whole of a request, answer included.
        network: Through which proxies, and under which name.
    """
    network = network or Network()
    traces = aiohttp.TraceConfig()
    traces.on_request_headers_sent.append(_note_sent)
    return aiohttp.ClientSession(
        # Two more, so that the account can be asked while all requests wait for their pictures.
        connector=_Connector(network, _kept_alive, None, limit=concurrency + 2, force_close=True),
        timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT),
        trace_configs=[traces],
        headers={"User-Agent": network.user_agent},
        **_alike(),
    )


def cdn_session(*, downloads: int, allow_private: bool, network: Network | None = None) -> aiohttp.ClientSession:
    """The session for pictures: connections are reused, bytes come as they are, internal addresses are out of reach.

    Args:
        downloads: Downloads in flight at once, at most.
        allow_private: Whether loopback and private addresses may be asked, on any port; only right where the API itself
            has one. A cloud's metadata service may not be asked even then. Of a proxy, the same may be asked for; but
            it looks names up itself, so that only an address written as such, and names known to lead inside, are told.
        network: Through which proxies, and under which name.
    """
    network = network or Network()
    guard, check = (_no_metadata, _no_metadata_by_proxy) if allow_private else (_public_only, _public_only_by_proxy)
    return aiohttp.ClientSession(
        connector=_Connector(network, guard, check, limit=downloads),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
        auto_decompress=False,
        headers={"Accept-Encoding": "identity", "User-Agent": network.user_agent},
        **_alike(),
    )


def _alike() -> dict[str, Any]:
    """What both sessions have in common."""
    return {
        "cookie_jar": aiohttp.DummyCookieJar(),
        "trust_env": False,
        "max_line_size": MAX_HEADER,
        "max_field_size": MAX_HEADER,
        "max_headers": MAX_HEADERS,
    }


async def _note_sent(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    if isinstance(context.trace_request_ctx, Sent):
        context.trace_request_ctx.sent = True


def _kept_alive(address: Address) -> socket.socket:
    """A socket that notices within 80 s that its peer is gone, and looks alive to whatever lies between."""
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # macOS calls the first TCP_KEEPALIVE.
    for names, value in ((("TCP_KEEPIDLE", "TCP_KEEPALIVE"), 20), (("TCP_KEEPINTVL",), 10), (("TCP_KEEPCNT",), 6)):
        option = next((getattr(socket, name) for name in names if hasattr(socket, name)), None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return sock


def _public_only(address: Address) -> socket.socket:
    """A socket to a web server on a public address.

    Asked for every address right before it is connected to, so that no spelling of a host and no answer of a name
    server gets past it; a resolver is not asked for addresses written as numbers.

    Raises:
        AddressRefused: It is not public, or the port is not one of `PORTS`.
    """
    host, port = address[4][:2]
    if not is_public(host):
        raise AddressRefused
    if port not in PORTS:
        raise AddressRefused(f"port {port}")
    return _kept_alive(address)


def _no_metadata(address: Address) -> socket.socket:
    """A socket to any address but those where a cloud hands out its machines' credentials.

    Raises:
        AddressRefused: It is one of those.
    """
    if is_metadata(address[4][0]):
        raise AddressRefused
    return _kept_alive(address)


def _public_only_by_proxy(host: str, port: int | None) -> None:
    """Let a proxy be asked for a host on the public internet alone.

    Raises:
        AddressRefused: The host is written as an address that is not public, or its name leads inside by itself, or
            the port is not one of `PORTS`.
    """
    address = written_in(host)
    if is_inside(host) if address is None else not is_public(address):
        raise AddressRefused
    if port not in PORTS:
        raise AddressRefused(f"port {port}")


def _no_metadata_by_proxy(host: str, _port: int | None) -> None:
    """Let a proxy be asked for any host but a cloud's metadata service.

    Raises:
        AddressRefused: It is one.
    """
    address = written_in(host)
    if names_metadata(host) if address is None else is_metadata(address):
        raise AddressRefused
