"""What can go wrong with a download, kind by kind: each gets the right answer and sends something else."""

import secrets
import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import cache, partial

import anyio
from aiohttp import hdrs, web

from sandbox.behaviour import Fault
from sandbox.painter import Painting, paint
from sandbox.wire import GARBAGE, bomb, content, reset, reset_in_body, say, send_part, size

HUGE_LENGTH = 50 * 1024**3
"""What the largest Content-Length promises."""

BOMB_SIDE = 30_000
"""Pixels of a side of the pixel bomb."""

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\nshowpage\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@dataclass(frozen=True, slots=True)
class Download:
    """A picture that is being answered with.

    Attributes:
        request: The GET.
        picture: What it asked for.
        data: The whole file.
        response: The right answer: all of the file, a range of it, or 416.
        fault: What strikes it.
    """

    request: web.Request
    picture: Painting
    data: bytes
    response: web.Response
    fault: Fault


Answer = Awaitable[web.StreamResponse]


async def _status(status: int, download: Download) -> web.StreamResponse:
    headers = {} if download.fault.retry_after is None else {hdrs.RETRY_AFTER: download.fault.retry_after}
    return web.Response(status=status, text=f"<Error><Code>{status}</Code></Error>", headers=headers)


async def _truncated(download: Download) -> web.StreamResponse:
    whole = size(download.response)
    return send_part(download.request, download.response, sent=whole // 2, promised=whole)


async def _cut_close(download: Download) -> web.StreamResponse:
    return send_part(download.request, download.response, sent=size(download.response) // 2, promised=None)


async def _long_length(download: Download) -> web.StreamResponse:
    whole = size(download.response)
    return send_part(download.request, download.response, sent=whole, promised=whole + 1000)


async def _length(length: int, download: Download) -> web.StreamResponse:
    return send_part(download.request, download.response, sent=size(download.response), promised=length)


async def _reset(download: Download) -> web.StreamResponse:
    return await reset_in_body(download.request, download.response)


async def _no_answer(download: Download) -> web.StreamResponse:
    return reset(download.request)


async def _hang(download: Download) -> web.StreamResponse:
    await anyio.Event().wait()  # that nobody sets: it ends with the client or the sandbox
    return download.response


async def _garbage(download: Download) -> web.StreamResponse:
    return say(download.request, GARBAGE)


async def _bit_flip(download: Download) -> web.StreamResponse:
    data = bytearray(content(download.response))
    if data:
        # Another one each time: the same damage twice would be the server's own file, not the way to it.
        data[len(data) // 2 + secrets.randbelow(max(len(data) // 4, 1))] ^= 0x10
    return _instead(download, bytes(data))


async def _text(text: bytes, content_type: str, _download: Download) -> web.StreamResponse:
    return web.Response(body=text, content_type=content_type)


async def _wrong_type(download: Download) -> web.StreamResponse:
    """The right picture under another picture's type: not the bytes are wrong, only their label."""
    download.response.content_type = "image/jpeg" if download.picture.mime_type == "image/png" else "image/png"
    return download.response


async def _wrong_size(download: Download) -> web.StreamResponse:
    """A sound picture of another shape."""
    other = replace(download.picture, width=download.picture.height, height=download.picture.width // 2)
    return _instead(download, await anyio.to_thread.run_sync(paint, other))


async def _empty(download: Download) -> web.StreamResponse:
    return _instead(download, b"")


async def _endless(download: Download) -> web.StreamResponse:
    """The picture, and after it zeros for as long as the client reads."""
    response = _stream(download)
    await response.prepare(download.request)
    await response.write(content(download.response))
    zeros = bytes(256 * 1024)
    while True:
        await response.write(zeros)


async def _drip(download: Download) -> web.StreamResponse:
    """One byte every tenth of a second."""
    response = _stream(download)
    response.content_length = size(download.response)
    await response.prepare(download.request)
    for byte in content(download.response):
        await response.write(bytes((byte,)))
        await anyio.sleep(0.1)
    return response


async def _gzip_bomb(download: Download) -> web.StreamResponse:
    packed = await anyio.to_thread.run_sync(bomb)
    return web.Response(body=packed, content_type=download.picture.mime_type, headers={hdrs.CONTENT_ENCODING: "gzip"})


async def _pixel_bomb(_download: Download) -> web.StreamResponse:
    return web.Response(body=await anyio.to_thread.run_sync(_blank), content_type="image/png")


async def _no_range(download: Download) -> web.StreamResponse:
    """Ranges are ignored: always all of it, and no word of ranges."""
    return web.Response(body=download.data, content_type=download.picture.mime_type)


async def _wrong_range(download: Download) -> web.StreamResponse:
    """A 206 for another part than the one asked for."""
    if download.response.status != 206:
        return download.response
    last = len(download.data) - 1
    headers = {hdrs.CONTENT_RANGE: f"bytes 1-{last}/{last + 1}"}
    return web.Response(status=206, body=download.data[1:], content_type=download.picture.mime_type, headers=headers)


async def _changed(download: Download) -> web.StreamResponse:
    """Another picture under the same URL: another tag, and so a range of the old one is answered with all."""
    return _instead(download, await anyio.to_thread.run_sync(paint, replace(download.picture, seed=0)))


async def _redirect(location: str, download: Download) -> web.StreamResponse:
    path = download.request.path
    return web.Response(status=302, headers={hdrs.LOCATION: location.format(path=path)})


async def _redirect_once(download: Download) -> web.StreamResponse:
    if "moved" in download.request.query:
        return download.response
    return await _redirect("{path}?moved=1", download)


FAULTS: dict[str, Callable[[Download], Answer]] = {
    **{f"cdn-{status}": partial(_status, status) for status in (403, 404, 410, 429, 500, 502, 503, 504)},
    "cdn-truncated": _truncated,
    "cdn-cut-close": _cut_close,
    "cdn-long-length": _long_length,
    "cdn-huge-length": partial(_length, HUGE_LENGTH),
    "cdn-negative-length": partial(_length, -1),
    "cdn-reset": _reset,
    "cdn-no-answer": _no_answer,
    "cdn-hang": _hang,
    "cdn-garbage": _garbage,
    "cdn-bit-flip": _bit_flip,
    "cdn-html": partial(_text, b"<!doctype html><title>Just a moment</title>", "text/html"),
    "cdn-svg": partial(_text, SVG, "image/svg+xml"),
    "cdn-eps": partial(_text, EPS, "image/png"),
    "cdn-json": partial(_text, b'{"message": "not found"}', "application/json"),
    "cdn-wrong-type": _wrong_type,
    "cdn-wrong-size": _wrong_size,
    "cdn-empty": _empty,
    "cdn-endless": _endless,
    "cdn-drip": _drip,
    "cdn-gzip-bomb": _gzip_bomb,
    "cdn-pixel-bomb": _pixel_bomb,
    "cdn-no-range": _no_range,
    "cdn-wrong-range": _wrong_range,
    "cdn-changed": _changed,
    "cdn-redirect": _redirect_once,
    "cdn-redirect-loop": partial(_redirect, "{path}"),
    "cdn-redirect-host": partial(_redirect, "http://169.254.169.254{path}"),
    "cdn-redirect-file": partial(_redirect, "file:///etc/passwd"),
}


@cache
def _blank() -> bytes:
    """A sound PNG, small as a file, that is 900 megapixels for whoever decodes it."""
    packer = zlib.compressobj(9)
    row = bytes(1 + BOMB_SIDE // 8)
    pixels = b"".join([*(packer.compress(row) for _ in range(BOMB_SIDE)), packer.flush()])
    header = struct.pack(">IIBBBBB", BOMB_SIDE, BOMB_SIDE, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _stream(download: Download) -> web.StreamResponse:
    return web.StreamResponse(status=download.response.status, headers=download.response.headers)


def _instead(download: Download, data: bytes) -> web.Response:
    return web.Response(body=data, content_type=download.picture.mime_type)
