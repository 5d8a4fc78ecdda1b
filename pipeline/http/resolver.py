"""Look host names up without holding the process up: the resolver of every HTTP session."""

import asyncio
import errno
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult


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
