"""A server that speaks the API in its own ways: for answers that the project's own sandbox never gives."""

import io
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from PIL import Image

from tests.run.site import Site

PATH = "/v1/images/generations"


def png(width: int = 64, height: int = 36) -> bytes:
    """A small picture of about 16:9."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(out, "PNG")
    return out.getvalue()


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(answer: Handler, **routes: Handler) -> AsyncIterator[str]:
    """Serve `answer` for generation requests, and each of `routes` for GETs of `/NAME`; gives the base URL."""
    app = web.Application()
    app.router.add_post(PATH, answer)
    for name, handler in routes.items():
        app.router.add_get(f"/{name}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.01, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def saying(body: Any, status: int = 200, **headers: str) -> Handler:
    """Always this JSON."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


async def picture(request: web.Request) -> web.StreamResponse:
    """Always the same picture."""
    return web.Response(body=png(), content_type="image/png")


GOOD = {"data": [{"url": "/p.png"}]}
ONE_AT_A_TIME = {"concurrency": 1, "downloads": 1, "requests_per_minute": 100_000}


class Upstream:
    """Answers each prompt in its own way, and counts how often it was asked for.

    Args:
        by_prompt: The answer to prompts that hold a text; the others get a good one.
    """

    def __init__(self, by_prompt: dict[str, Handler] | None = None, other: Handler | None = None) -> None:
        self.asked: Counter[str] = Counter()
        self.gets = 0
        self._by_prompt = by_prompt or {}
        self._other = other or saying(GOOD)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        prompt = (await request.json())["prompt"]
        self.asked[prompt] += 1
        handlers = (handler for text, handler in self._by_prompt.items() if text in prompt)
        return await next(handlers, self._other)(request)

    async def picture(self, request: web.Request) -> web.StreamResponse:
        self.gets += 1
        return await picture(request)


def page(status: int, kind: str = "text/html") -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="<html>It works!</html>" if "html" in kind else "x", content_type=kind)

    return answer


def in_turn(*handlers: Handler) -> Handler:
    """Each answer once, the last one from then on."""
    left = list(handlers)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(request)

    return answer


async def asked(site: Site, upstream: Upstream, *prompts: str, **more: Any) -> None:
    async with serving(upstream.answer, **{"p.png": upstream.picture}) as base:
        await site.run(*prompts, endpoint=base, **more)


def failures(site: Site) -> dict[str, str]:
    """The reason of each failed image, by its prompt."""
    return {record.prompt: record.error or "" for record in site.records() if record.status == "failed"}
