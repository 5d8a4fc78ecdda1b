"""A picture server that does what a test tells it, over raw sockets, so that it can also do what no server should."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.download import Downloads, Transfer
from pipeline.generated import GeneratedImage
from pipeline.http.sessions import cdn_session
from pipeline.output.local import OutputFolder
from tests.picture.samples import PNG


@dataclass
class Asked:
    """One request as it came."""

    path: str
    headers: dict[str, str]


Reply = bytes | Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


def http(body: bytes = PNG, status: str = "200 OK", length: int | None = None, **headers: str) -> bytes:
    """An answer; `length` is what its Content-Length claims, the truth by default and nothing where negative."""
    claimed = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if claimed >= 0:
        lines.append(f"Content-Length: {claimed}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


@dataclass
class Cdn:
    """Gives its replies in turn, the last one for ever.

    Attributes:
        asked: The requests so far.
        open: The connections that are open.
        connections: How many connections there were, with or without a request.
    """

    replies: list[Reply]
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    def url(self, path: str = "/fox.png?signature=SECRET") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = dict(line.split(": ", 1) for line in head[1:] if line)
            asked = Asked(head[0].split(" ")[1], fields)
            self.asked.append(asked)
            reply = self.replies[min(len(self.asked), len(self.replies)) - 1]
            if isinstance(reply, bytes):
                writer.write(reply)
                await writer.drain()
            else:
                await reply(asked, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()


@asynccontextmanager
async def serving(*replies: Reply) -> AsyncIterator[Cdn]:
    cdn = Cdn(list(replies))
    server = await asyncio.start_server(cdn.serve, "127.0.0.1", 0)
    cdn.port = server.sockets[0].getsockname()[1]
    try:
        yield cdn
    finally:
        # Not `async with`: since Python 3.12 that waits for every reply that is still being held back.
        server.close()
        for connection in cdn.open:
            connection.transport.abort()


@asynccontextmanager
async def downloading(root: Path, *, allow_private: bool = True, **options: Any) -> AsyncIterator[Downloads]:
    options = {"https_only": False} | options
    with OutputFolder(root) as store:
        async with cdn_session(downloads=4, allow_private=allow_private) as session:
            yield Downloads(session, store, **options)


@asynccontextmanager
async def transferring(
    root: Path, *replies: Reply, path: str = "/fox.png?signature=SECRET", **options: Any
) -> AsyncIterator[tuple[Cdn, Transfer]]:
    """A server with these replies, and the transfer of the one picture it has."""
    async with serving(*replies) as cdn, downloading(root, **options) as downloads:
        with downloads.transfer(GeneratedImage(url=cdn.url(path)), "fox", lambda *_: True) as transfer:
            yield cdn, transfer


def pictures(root: Path) -> list[str]:
    """Every file in the output folder but the lock."""
    found = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return [path for path in found if path != ".pipeline/lock"]
