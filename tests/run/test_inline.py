"""Pictures inside answers."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from tests.run.site import Site
from tests.run.upstream import Upstream, asked, png, saying

PNG = png()


def _standard(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _in_a_data_uri(data: bytes) -> str:
    return "data:image/png;base64," + _standard(data).replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")


@pytest.mark.parametrize("encode", [_standard, _url_safe, _in_a_data_uri])
async def test_base64_of_every_kind_is_saved_as_it_came(site: Site, encode: Callable[[bytes], str]) -> None:
    await asked(site, Upstream(other=saying({"data": [{"b64_json": encode(PNG)}]})), "A fox")
    assert list(site.pictures().values()) == [PNG]


async def test_bytes_in_hand_come_before_a_url_that_is_dead(site: Site) -> None:
    said = {"data": [{"url": "/gone.png", "b64_json": _standard(PNG)}]}
    await asked(site, upstream := Upstream(other=saying(said)), "A fox")
    assert list(site.pictures().values()) == [PNG]
    assert upstream.gets == 0


@pytest.mark.parametrize("flag", [{"has_nsfw_concepts": [True]}, {"content_violation": True}])
async def test_a_picture_that_the_api_calls_unusable_is_moderated_and_kept_aside(site: Site, flag: Any) -> None:
    said = {"data": [{"b64_json": _standard(PNG)}], **flag}
    await asked(site, Upstream(other=saying(said)), "A fox")
    assert site.summary is not None
    assert dict(site.summary.failed) == {"moderated": 1}
    assert site.pictures() == {}
    (kept,) = (site.output / ".pipeline" / "quarantine").iterdir()
    assert kept.read_bytes() == PNG


async def test_a_large_picture_in_base64_is_saved_as_it_came_however_json_escapes_it(site: Site) -> None:
    noisy = _noisy_png()
    text = json.dumps({"data": [{"b64_json": _standard(noisy)}]}).replace("/", "\\/")

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=text, content_type="application/json")

    await asked(site, Upstream(other=answer), "A fox")
    assert list(site.pictures().values()) == [noisy]


def _noisy_png() -> bytes:
    """A picture over the size from which on strings are cut out of an answer."""
    import io
    import random

    from PIL import Image

    out = io.BytesIO()
    Image.frombytes("RGB", (640, 360), random.Random(1).randbytes(640 * 360 * 3)).save(out, "PNG")
    return out.getvalue()
