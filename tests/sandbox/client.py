"""Asking a sandbox, as its tests do it: over a real connection."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from sandbox import Sandbox

MODEL = "google/imagen-4.0-ultra-generate-001"
PRICE = 126000
PATH = "/v1/images/generations"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any


async def send(method: str, url: str, *, key: str | None = "any", **more: Any) -> Reply:
    headers = dict(more.pop("headers", {}))
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    timeout = aiohttp.ClientTimeout(total=5)
    async with (
        aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
        session.request(method, url, headers=headers, allow_redirects=False, **more) as response,
    ):
        body = await response.read()
        plain = response.content_type == "application/json" and "Content-Encoding" not in response.headers
        parsed = await response.json() if plain and body else None
        return Reply(response.status, response.headers, body, parsed)


async def ask(sandbox: Sandbox, prompt: str = "A fox", *, label: str | None = None, **body: Any) -> Reply:
    headers = {"X-Client-Request-Id": label} if label is not None else {}
    return await send("POST", sandbox.base + PATH, headers=headers, json={"model": MODEL, "prompt": prompt, **body})


async def look(sandbox: Sandbox, path: str, **more: Any) -> Reply:
    return await send("GET", sandbox.base + path, **more)


async def fetch(url: str, **headers: str) -> Reply:
    return await send("GET", url, key=None, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def picture_url(sandbox: Sandbox, prompt: str = "A fox", **body: Any) -> str:
    url = (await ask(sandbox, prompt, **body)).json["data"][0]["url"]
    assert isinstance(url, str)
    return url
