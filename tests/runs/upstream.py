"""A server that speaks the API in its own ways: for answers that the project's own sandbox never gives."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from PIL import Image

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
