"""Ways to end a connection badly, below what an HTTP library would do by itself."""

import gzip
import socket
import struct
from functools import cache

from aiohttp import hdrs, web

GARBAGE = b"\x16\x03\x01 this is no HTTP\r\n\r\n"

BOMB_BYTES = 256 * 1024 * 1024
"""What a gzip bomb unpacks to."""


class Vanished(web.StreamResponse):
    """Stands for an answer of which nothing more may be sent: what there was to say was said on the raw connection.

    Attributes:
        said: The HTTP status that was sent, or None where there was no status line.
    """

    def __init__(self, said: int | None = None) -> None:
        super().__init__()
        self.said = said

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Send nothing."""


def content(response: web.Response) -> bytes:
    """The bytes of a response that was made with them."""
    return response.body if isinstance(response.body, bytes) else b""


def size(response: web.Response) -> int:
    """How many bytes the body has."""
    return len(content(response))


def reset(request: web.Request) -> Vanished:
    """Reset the connection (RST), so that the client can't take it for an end in good order."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return Vanished()


def say(request: web.Request, data: bytes, *, status: int | None = None) -> Vanished:
    """Send these bytes as they are, then close the connection in good order."""
    if request.transport is not None:
        request.transport.write(data)
        request.transport.close()
    return Vanished(status)


def send_part(request: web.Request, response: web.Response, *, sent: int, promised: int | None) -> Vanished:
    """Send the headers and the first `sent` bytes of a body, then close.

    Args:
        request: The request answered.
        response: The whole answer.
        sent: Bytes of its body that are sent.
        promised: The Content-Length; None for no such header: the body ends where the connection does.
    """
    length = () if promised is None else (f"{hdrs.CONTENT_LENGTH}: {promised}",)
    return say(request, head(response, *length) + content(response)[:sent], status=response.status)


def head(response: web.Response, *more: str) -> bytes:
    """The status line and the headers of a response without its length, and `more` header lines, as they are."""
    lines = [f"HTTP/1.1 {response.status} {response.reason}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items() if name != hdrs.CONTENT_LENGTH]
    return "\r\n".join([*lines, *more, "Connection: close", "", ""]).encode("latin-1")


async def reset_in_body(request: web.Request, response: web.Response) -> Vanished:
    """Send the headers and half of the body, then reset the connection."""
    part = web.StreamResponse(status=response.status, headers=response.headers)
    part.content_length = size(response)
    await part.prepare(request)
    await part.write(content(response)[: size(response) // 2])
    reset(request)
    return Vanished(response.status)


@cache
def bomb() -> bytes:
    """A small gzip body that unpacks to `BOMB_BYTES` of spaces, which JSON lets stand before anything."""
    member = gzip.compress(b" " * 2**20, 9)
    return member * (BOMB_BYTES // 2**20)
