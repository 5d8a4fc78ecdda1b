"""What can go wrong with a generation request, kind by kind.

Three tables: `REFUSALS` answer in place of a generation and are not billed, `SHAPES` change what a good answer says,
and `DELIVERIES` send a good answer badly. Whether a fault is billed can be told otherwise by its own `billed`.
"""

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
from aiohttp import hdrs, web

from sandbox.answers import MESSAGES, answer, error, usd, vendor_headers
from sandbox.behaviour import InjectedFault
from sandbox.orders import Order, Refusal
from sandbox.state import SandboxState
from sandbox.wire import GARBAGE, Vanished, bomb, content, head, reset, reset_in_body, say, send_part, size

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that is being answered: what was asked, and which fault it gets."""

    request: web.Request
    order: Order
    state: SandboxState
    injected: InjectedFault | None


# In place of a generation.

MODERATED = "The prompt was rejected by the content moderation: it may violate our usage policies"


def _status(status: int, exchange: Exchange, *, message: str = "", as_text: bool = False) -> web.StreamResponse:
    injected = exchange.injected
    said = (injected and injected.fault.message) or message or MESSAGES[status]
    refusal = Refusal(status, said, retry_after=injected.fault.retry_after if injected else None)
    return error(exchange.request, refusal, exchange.state.clock(), status_as_text=as_text)


def _html(status: int, _exchange: Exchange) -> web.StreamResponse:
    """What a proxy at the edge says: no JSON, and none of the vendor's headers."""
    page = f"<html>\r\n<head><title>{status}</title></head>\r\n<body><h1>{status}</h1><hr>nginx</body>\r\n</html>"
    return web.Response(text=page, status=status, content_type="text/html")


def _redirect(status: int, exchange: Exchange) -> web.StreamResponse:
    headers = vendor_headers(exchange.request) | {hdrs.LOCATION: "/v1/images/generations"}
    return web.Response(status=status, headers=headers)


REFUSALS: dict[str, Callable[[Exchange], web.StreamResponse]] = {
    **{str(status): partial(_status, status) for status in MESSAGES},
    "500-text-status": partial(_status, 500, as_text=True),
    "moderated": partial(_status, 400, message=MODERATED),
    "html-502": partial(_html, 502),
    "html-504": partial(_html, 504),
    "html-524": partial(_html, 524),
    "301": partial(_redirect, 301),
    "307": partial(_redirect, 307),
    "308": partial(_redirect, 308),
    "reset-before-billing": lambda exchange: reset(exchange.request),
}


# What a good answer says.


def _each(change: Callable[[Body], Body]) -> Callable[[Body], Body]:
    """A change of every image of an answer."""
    return lambda body: body | {"data": [change(image) for image in body["data"]]}


def _renamed(image: Body, old: str, new: str) -> Body:
    return {new if name == old else name: value for name, value in image.items()}


def _usage(body: Body, **usage: Any) -> Body:
    return body | {"meta": {"usage": usage}}


def _used(body: Body) -> int:
    return int(body["meta"]["usage"]["tokens_used"])


def _images(body: Body) -> Body:
    return {"images": [{"url": image["url"]} for image in body["data"]], "meta": body["meta"]}


def _choices(body: Body) -> Body:
    choices = [{"image_base64": image["b64_json"]} for image in body["data"]]
    return {"output": {"choices": choices}, "meta": body["meta"]}


def _data_uri(image: Body) -> Body:
    uri = f"data:{image['mime_type']};base64,{image['b64_json']}"
    return {"mime_type": image["mime_type"], "prompt": image["prompt"], "url": uri}


def _signed(body: Body, *, age: int) -> Body:
    """URLs as S3 signs them, good for a week from `age` seconds ago."""
    signed = datetime.fromtimestamp(body["created"] - age, UTC)
    query = f"X-Amz-Date={signed:%Y%m%dT%H%M%SZ}&X-Amz-Expires={WEEK}&X-Amz-Signature=5a6d626f78"
    return _each(lambda image: image | {"url": f"{image['url']}?{query}"})(body)


WEEK = 604800
INLINE = frozenset({"b64", "choices", "data-uri"})
"""Kinds whose answer carries the bytes themselves, whatever was asked for."""

SHAPES: dict[str, Callable[[Body], Body]] = {
    "b64": lambda body: body,
    "empty": lambda body: body | {"data": []},
    "null": lambda body: body | {"data": None},
    "short": lambda body: body | {"data": body["data"][:-1]},
    "images": _images,
    "choices": _choices,
    "data-uri": _each(_data_uri),
    "relative-url": _each(lambda image: image | {"url": urlsplit(image["url"]).path}),
    "signed-url": partial(_signed, age=0),
    "expired-url": partial(_signed, age=WEEK + 60),
    "revised-prompt": _each(partial(_renamed, old="prompt", new="revised_prompt")),
    "content-type": _each(partial(_renamed, old="mime_type", new="content_type")),
    "credits-used": lambda body: _usage(body, credits_used=_used(body)),
    "usd-spent": lambda body: _usage(body, credits_used=_used(body), usd_spent=usd(_used(body))),
    "no-usage": lambda body: {"created": body["created"], "data": body["data"]},
    "nan": lambda body: _usage(body, tokens_used=float("nan")),
    "lone-surrogate": _each(lambda image: image | {"prompt": f"{image['prompt']} \ud800"}),
}


# How a good answer is sent.


async def _hang(_request: web.Request, response: web.Response) -> web.StreamResponse:
    await anyio.Event().wait()  # that nobody sets: it ends with the client or the sandbox
    return response


async def _hang_in_body(request: web.Request, response: web.Response) -> web.StreamResponse:
    part = web.StreamResponse(status=response.status, headers=response.headers)
    part.content_length = size(response)
    await part.prepare(request)
    return await _hang(request, response)


async def _reset(request: web.Request, _response: web.Response) -> web.StreamResponse:
    return reset(request)


async def _cut(request: web.Request, response: web.Response) -> web.StreamResponse:
    return send_part(request, response, sent=size(response) // 2, promised=size(response))


async def _cut_close(request: web.Request, response: web.Response) -> web.StreamResponse:
    return send_part(request, response, sent=size(response) // 2, promised=None)


async def _cut_chunked(request: web.Request, response: web.Response) -> web.StreamResponse:
    whole = content(response)
    chunk = b"%x\r\n%s" % (len(whole), whole[: len(whole) // 2])
    return say(request, head(response, "Transfer-Encoding: chunked") + chunk, status=response.status)


async def _headers_only(request: web.Request, response: web.Response) -> web.StreamResponse:
    return send_part(request, response, sent=0, promised=size(response))


async def _raw(data: bytes, request: web.Request, _response: web.Response) -> web.StreamResponse:
    return say(request, data)


async def _no_headers(request: web.Request, response: web.Response) -> web.StreamResponse:
    return say(request, content(response))


async def _odd_headers(lines: tuple[str, ...], request: web.Request, response: web.Response) -> web.StreamResponse:
    """A good answer with further headers that no server should send. Whether it has a status is for its reader."""
    return say(request, head(response, *lines) + content(response))


async def _bad_gzip(_request: web.Request, response: web.Response) -> web.StreamResponse:
    response.body = b"\x1f\x8b\x08" + bytes(7) + content(response)
    response.headers[hdrs.CONTENT_ENCODING] = "gzip"
    return response


async def _gzip_bomb(_request: web.Request, response: web.Response) -> web.StreamResponse:
    response.body = await anyio.to_thread.run_sync(bomb)
    response.headers[hdrs.CONTENT_ENCODING] = "gzip"
    return response


async def _large_json(request: web.Request, response: web.Response) -> web.StreamResponse:
    large = web.StreamResponse(status=response.status, headers=response.headers)
    large.content_length = LARGE + size(response)
    await large.prepare(request)
    spaces = b" " * 2**20
    try:
        for _ in range(LARGE // 2**20):
            await large.write(spaces)
        await large.write(content(response))
    except ConnectionError:  # the client has read enough
        return Vanished(response.status)
    return large


async def _invalid_json(_request: web.Request, response: web.Response) -> web.StreamResponse:
    response.text = (response.text or "")[:-3] + "oops"
    return response


async def _deep_json(_request: web.Request, response: web.Response) -> web.StreamResponse:
    response.text = "[" * 100_000 + "]" * 100_000
    return response


LARGE = 80 * 2**20
"""Bytes before the body of an answer that is larger than any client should read."""

DELIVERIES: dict[str, Callable[[web.Request, web.Response], Awaitable[web.StreamResponse]]] = {
    "hang": _hang,
    "hang-in-body": _hang_in_body,
    "reset-after-billing": _reset,
    "close-after-billing": partial(_raw, b""),
    "half-status-line": partial(_raw, b"HTTP/1.1 20"),
    "headers-only": _headers_only,
    "reset-in-body": reset_in_body,
    "cut": _cut,
    "cut-close": _cut_close,
    "cut-chunked": _cut_chunked,
    "garbage": partial(_raw, GARBAGE),
    "no-headers": _no_headers,
    "long-header": partial(_odd_headers, ("X-Long: " + "x" * 200_000,)),
    "many-headers": partial(_odd_headers, tuple(f"X-{number}: x" for number in range(10_000))),
    "nul-header": partial(_odd_headers, ("X-Nul: a\0b",)),
    "cr-header": partial(_odd_headers, ("X-Return: a\rX-Forged: b",)),
    "negative-length": partial(_odd_headers, (f"{hdrs.CONTENT_LENGTH}: -1",)),
    "bad-gzip": _bad_gzip,
    "gzip-bomb": _gzip_bomb,
    "large-json": _large_json,
    "invalid-json": _invalid_json,
    "deep-json": _deep_json,
}


def is_billed(injected: InjectedFault | None) -> bool:
    """Whether a request that meets this is billed."""
    if injected is None:
        return True
    return injected.kind not in REFUSALS if injected.fault.billed is None else injected.fault.billed


async def fulfil(exchange: Exchange) -> web.StreamResponse:
    """Answer an accepted request, as well or as badly as was decided."""
    kind = exchange.injected.kind if exchange.injected else ""
    if kind in REFUSALS:
        return REFUSALS[kind](exchange)
    body = await _compose(exchange, inline=exchange.order.inline or kind in INLINE)
    if kind in SHAPES:
        body = SHAPES[kind](body)
    response = answer(exchange.request, body, credits_=exchange.order.credits)
    return await DELIVERIES[kind](exchange.request, response) if kind in DELIVERIES else response


async def _compose(exchange: Exchange, *, inline: bool) -> Body:
    """A good answer, in the vendor's usual shape."""
    order, state = exchange.order, exchange.state
    images: list[Body] = []
    for picture in order.pictures:
        image: Body = {"mime_type": picture.mime_type, "prompt": order.revised_prompt}
        if inline:
            image["b64_json"] = base64.b64encode(await state.painted(picture)).decode()
        else:
            path = state.new_path(picture)
            state.request_log.owe([(path, picture)])
            image["url"] = state.cdn_base + path
        images.append(image)
    return {"created": int(state.clock()), "data": images, "meta": {"usage": {"tokens_used": order.credits}}}
