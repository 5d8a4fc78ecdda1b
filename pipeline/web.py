"""The only place where HTTP sessions are made: one for the API, one for pictures, with nothing shared between them.

Neither keeps cookies nor reads proxies and passwords from the environment, and neither has a header with a credential
by default: a default header also goes where a redirect or a picture's URL leads.
"""

import asyncio
import errno
import ipaddress
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

CONNECT_TIMEOUT = 30.0
"""Seconds that a connection may take, TLS included."""

Address = tuple[int, int, int, str, tuple[Any, ...]]
"""Family, type, protocol, canonical name and socket address, as `getaddrinfo` gives them."""


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


def api_session(*, concurrency: int, timeout: float) -> aiohttp.ClientSession:
    """The session for paid requests.

    Every request has a connection of its own: on one kept alive, a reset would leave open whether it was billed.
    Probes keep middleboxes from cutting a connection that waits for a picture.

    Args:
        concurrency: Requests in flight at once, at most.
        timeout: Seconds for the whole of a request, answer included.
    """
    traces = aiohttp.TraceConfig()
    traces.on_request_headers_sent.append(_note_sent)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            # Two more, so that the account can be asked while all requests wait for their pictures.
            limit=concurrency + 2,
            force_close=True,
            resolver=DaemonResolver(),
            socket_factory=_kept_alive,
        ),
        timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        trace_configs=[traces],
    )


def cdn_session(*, downloads: int, allow_private: bool) -> aiohttp.ClientSession:
    """The session for pictures: connections are reused, bytes come as they are, internal addresses are out of reach.

    Args:
        downloads: Downloads in flight at once, at most.
        allow_private: Whether loopback and private addresses may be asked, on any port; only right where the API itself
            has one. A cloud's metadata service may not be asked even then.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=downloads, resolver=DaemonResolver(), socket_factory=_no_metadata if allow_private else _public_only
        ),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
    )


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


def is_metadata(address: str) -> bool:
    """Whether a cloud's metadata service is at an IP address; also where it can't be told."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    return (getattr(ip, "ipv4_mapped", None) or ip) in _METADATA


_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        *("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "fe80::a9fe:a9fe"),  # most clouds
        *("169.254.170.2", "169.254.170.23", "fd00:ec2::23"),  # containers on AWS
        *("100.100.100.200", "168.63.129.16", "192.0.0.192"),  # Alibaba, Azure, Oracle
    )
)


_UNICAST = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(net)
    for net in (
        "168.63.129.16/32",  # Azure's metadata service, on an address that looks public
        "192.88.99.0/24",  # 6to4 relays
        "2001::/23",  # protocol assignments, with Teredo, which embeds IPv4
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, embeds IPv4
        "3fff::/20",  # documentation
    )
)


def is_public(address: str) -> bool:
    """Whether an IP address is one on the public internet.

    Stricter than `ipaddress.is_global`, which lets multicast, site-local and several embeddings of IPv4 addresses
    pass on some Python versions. Of IPv6, only global unicast (2000::/3) counts.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip not in _UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not any(ip in net for net in _NOT_PUBLIC)


class DaemonResolver(AbstractResolver):
    """Looks names up in threads that nobody waits for.

    asyncio's own lookup runs in a pool that is joined at exit, so a name server that hangs holds the process up for
    as long as it pleases.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a host.

        Raises:
            OSError: It has none, or the lookup failed.
        """
        found = await _in_daemon(lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))
        return [
            ResolveResult(
                hostname=host,
                host=_numeric(sockaddr),
                port=port,
                family=kin,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for kin, _, protocol, _, sockaddr in found
            if kin in (socket.AF_INET, socket.AF_INET6)
        ]

    async def close(self) -> None:
        """Nothing to close: a thread that still waits ends with the process."""


def _numeric(sockaddr: tuple[Any, ...]) -> str:
    """The address as text, with its zone where it is a link-local one."""
    if len(sockaddr) == 4 and sockaddr[3]:
        return f"{sockaddr[0]}%{sockaddr[3]}"
    return str(sockaddr[0])


async def _in_daemon(work: Callable[[], list[Any]]) -> list[Any]:
    """Run `work` in a thread of its own that does not keep the process alive."""
    outcome: Future[list[Any]] = Future()

    def run() -> None:
        outcome.set_running_or_notify_cancel()
        try:
            outcome.set_result(work())
        except UnicodeError:  # what the lookup makes of a label over 63 bytes
            outcome.set_exception(OSError(errno.EINVAL, "not a host name"))
        except OSError as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="resolve", daemon=True).start()
    return await asyncio.wrap_future(outcome)
