"""The CDN: pictures by their paths, whole or in ranges, on a port of their own and without any key."""

import hashlib
import re
from datetime import UTC, datetime

from aiohttp import hdrs, web

from sandbox.answers import SANDBOX_HEADER
from sandbox.cdn_faults import FAULTS, Download
from sandbox.state import SandboxState
from sandbox.wire import Vanished

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Cdn:
    """The handler of downloads."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Answer one GET of a picture."""
        state = self._state
        picture = state.request_log.picture(request.path)
        if picture is None:
            return _error(404, "NoSuchKey")
        state.request_log.got(state.clock(), request.path, request.headers)
        if _expired(request, state.clock()):
            return _error(403, "AccessDenied: Request has expired")
        injected = state.fault_plan.next_fault(picture.prompt, cdn=True)
        data = await state.painted(picture)
        response = whole_or_range(request, data, picture.mime_type)
        if injected is None:
            return response
        try:
            return await FAULTS[injected.kind](Download(request, picture, data, response, injected.fault))
        except ConnectionError:  # the client has gone, as it should where a fault has no end; nobody need be told
            return Vanished(response.status)


def whole_or_range(request: web.Request, data: bytes, mime_type: str) -> web.Response:
    """The answer that RFC 9110 asks for: 200 with all, 206 with one range, or 416.

    Several ranges at once, and an `If-Range` that does not name this very picture, get all of it.
    """
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {SANDBOX_HEADER: "1", hdrs.ETAG: tag, hdrs.ACCEPT_RANGES: "bytes", hdrs.CONTENT_TYPE: mime_type}
    asked = _RANGE.fullmatch(request.headers.get(hdrs.RANGE, ""))
    if asked is None or asked.groups() == ("", "") or request.headers.get(hdrs.IF_RANGE, tag) != tag:
        return web.Response(body=data, headers=headers)
    first, last = _bounds(asked[1], asked[2], len(data))
    if first > last:
        headers[hdrs.CONTENT_RANGE] = f"bytes */{len(data)}"
        return web.Response(status=416, headers=headers)
    headers[hdrs.CONTENT_RANGE] = f"bytes {first}-{last}/{len(data)}"
    return web.Response(status=206, body=data[first : last + 1], headers=headers)


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    """First and last byte of a range, both included; the first above the last when there is no such part."""
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last or size - 1), size - 1)


def _expired(request: web.Request, now: float) -> bool:
    """Whether the URL carries a signature as S3 makes them whose time is over."""
    try:
        signed = datetime.strptime(request.query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return now > signed.timestamp() + int(request.query["X-Amz-Expires"])
    except (KeyError, ValueError):
        return False


def _error(status: int, code: str) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code></Error>'
    return web.Response(status=status, text=text, content_type="application/xml", headers={SANDBOX_HEADER: "1"})
