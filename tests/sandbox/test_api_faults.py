import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from sandbox import Behaviour, Fault, Sandbox
from sandbox.answers import MESSAGES
from sandbox.api_faults import LARGE
from tests.sandbox.client import PATH, PRICE, Reply, ask, fetch


async def struck(kind: str, **options: Any) -> tuple[Reply, int]:
    """What a request meets that a fault strikes, and what it is billed."""
    async with Sandbox(behaviour=Behaviour(faults=(Fault(kind, **options),))) as sandbox:
        reply = await ask(sandbox, num_images=2, seed=1)
        return reply, sandbox.request_log.billed_credits()


@pytest.mark.parametrize("status", MESSAGES)
async def test_a_status_has_the_vendors_form_and_is_not_billed(status: int) -> None:
    reply, billed = await struck(str(status))
    assert (reply.status, reply.json["statusCode"], billed) == (status, status, 0)
    assert reply.json["message"] == MESSAGES[status]
    assert reply.json["path"] == PATH


async def test_a_failed_request_is_in_the_log_as_failed() -> None:
    async with Sandbox(behaviour=Behaviour(faults=(Fault("500"),))) as sandbox:
        await ask(sandbox)
        (row,) = sandbox.request_log.requests()
    assert (row.status, row.http_status, row.credits, row.images) == ("failed", 500, 0, 0)


async def test_an_error_says_what_the_fault_says() -> None:
    reply, billed = await struck("503", message="down for tea", retry_after="120", billed=True)
    assert (reply.json["message"], reply.headers["Retry-After"], billed) == ("down for tea", "120", 2 * PRICE)


async def test_the_status_may_be_text() -> None:
    reply, _ = await struck("500-text-status")
    assert reply.json["statusCode"] == "500"


async def test_moderation_is_told_in_words() -> None:
    reply, billed = await struck("moderated")
    assert (reply.status, billed) == (400, 0)
    assert "moderation" in reply.json["message"]


@pytest.mark.parametrize("status", [502, 504, 524])
async def test_a_proxy_answers_in_html(status: int) -> None:
    reply, _ = await struck(f"html-{status}")
    assert (reply.status, reply.json) == (status, None)
    assert b"<html>" in reply.body
    assert "x-inference-id" not in reply.headers


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_a_redirect_leads_back_here(status: int) -> None:
    reply, billed = await struck(str(status))
    assert (reply.status, reply.headers["Location"], billed) == (status, PATH, 0)


@pytest.mark.parametrize(
    ("kind", "error", "billed", "http_status"),
    [
        ("reset-before-billing", aiohttp.ClientError, 0, None),
        ("reset-after-billing", aiohttp.ClientError, PRICE, None),
        ("close-after-billing", aiohttp.ClientError, PRICE, None),
        ("half-status-line", aiohttp.ClientError, PRICE, None),
        ("headers-only", aiohttp.ClientError, PRICE, 200),
        ("reset-in-body", aiohttp.ClientError, PRICE, 200),
        ("cut", aiohttp.ClientError, PRICE, 200),
        ("cut-close", ValueError, PRICE, 200),
        ("cut-chunked", aiohttp.ClientError, PRICE, 200),
        ("garbage", aiohttp.ClientError, PRICE, None),
        ("no-headers", aiohttp.ClientError, PRICE, None),
        ("long-header", aiohttp.ClientError, PRICE, None),
        ("many-headers", aiohttp.ClientError, PRICE, None),
        ("nul-header", aiohttp.ClientError, PRICE, None),
        ("cr-header", aiohttp.ClientError, PRICE, None),
        ("negative-length", aiohttp.ClientError, PRICE, None),
        ("invalid-json", ValueError, PRICE, 200),
    ],
)
async def test_an_answer_that_arrives_badly(
    kind: str, error: type[Exception], billed: int, http_status: int | None
) -> None:
    async with Sandbox(behaviour=Behaviour(faults=(Fault(kind, times=1),))) as sandbox:
        with pytest.raises(error):
            await ask(sandbox)
        (row,) = sandbox.request_log.requests()
        assert (row.credits, row.http_status) == (billed, http_status)
        assert (await ask(sandbox)).status == 200


async def test_an_answer_may_be_nested_deeper_than_anybody_reads() -> None:
    async with Sandbox(behaviour=Behaviour(faults=(Fault("deep-json"),))) as sandbox:
        async with aiohttp.ClientSession() as session:
            body = await (await begin(session, sandbox)).read()
        assert body.count(b"[") + body.count(b"{") >= 100_000
        assert sandbox.request_log.billed_credits() == PRICE


async def begin(session: aiohttp.ClientSession, sandbox: Sandbox) -> aiohttp.ClientResponse:
    """An answer of which nothing but the headers has been read."""
    return await session.post(
        sandbox.base + PATH,
        json={"model": "google/imagen-4.0-ultra-generate-001", "prompt": "x"},
        headers={"Authorization": "Bearer any"},
    )


async def test_a_hanging_answer_never_comes() -> None:
    async with Sandbox(behaviour=Behaviour(faults=(Fault("hang"),))) as sandbox:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.04)) as session:
            with pytest.raises(TimeoutError):
                await begin(session, sandbox)
        assert sandbox.request_log.billed_credits() == PRICE


async def test_headers_may_come_without_their_body() -> None:
    async with Sandbox(behaviour=Behaviour(faults=(Fault("hang-in-body"),))) as sandbox:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.04)) as session:
            response = await begin(session, sandbox)
            assert (response.status, response.headers["x-pipeline-sandbox"]) == (200, "1")
            with pytest.raises(TimeoutError):
                await response.read()
        assert sandbox.request_log.billed_credits() == PRICE


async def test_a_compressed_answer_may_be_damaged() -> None:
    reply, billed = await struck("bad-gzip")
    assert (reply.status, reply.headers["Content-Encoding"], billed) == (200, "gzip", 2 * PRICE)
    with pytest.raises(zlib.error):
        zlib.decompress(reply.body, zlib.MAX_WBITS | 16)


async def test_a_bomb_is_small_on_the_wire_and_spaces_once_unpacked() -> None:
    reply, billed = await struck("gzip-bomb", times=1)
    assert (reply.status, reply.headers["Content-Encoding"], billed) == (200, "gzip", 2 * PRICE)
    assert len(reply.body) < 1_000_000
    unpacked = zlib.decompressobj(zlib.MAX_WBITS | 16)
    assert unpacked.decompress(reply.body, 1000) == b" " * 1000


async def test_an_answer_may_be_larger_than_anybody_should_read() -> None:
    async with Sandbox(behaviour=Behaviour(faults=(Fault("large-json", times=1),))) as sandbox:
        reply = await ask(sandbox)
        assert len(reply.body) > LARGE
        assert reply.body.endswith((await ask(sandbox)).body[-40:])


async def test_whoever_stops_reading_a_large_answer_is_billed_all_the_same() -> None:
    async with Sandbox(behaviour=Behaviour(faults=(Fault("large-json"),))) as sandbox:
        async with aiohttp.ClientSession() as session:
            response = await begin(session, sandbox)
            await response.content.readany()
            response.close()
        assert sandbox.request_log.billed_credits() == PRICE


async def test_shapes_of_a_good_answer() -> None:
    shapes: dict[str, Callable[[Any], bool]] = {
        "empty": lambda body: body["data"] == [],
        "null": lambda body: body["data"] is None,
        "short": lambda body: len(body["data"]) == 1,
        "images": lambda body: "data" not in body and len(body["images"]) == 2 and set(body["images"][0]) == {"url"},
        "choices": lambda body: body["output"]["choices"][1]["image_base64"].startswith("iVBOR"),
        "b64": lambda body: all("url" not in image and "b64_json" in image for image in body["data"]),
        "data-uri": lambda body: body["data"][0]["url"].startswith("data:image/png;base64,iVBOR"),
        "relative-url": lambda body: body["data"][0]["url"].startswith("/generations/"),
        "revised-prompt": lambda body: "prompt" not in body["data"][0] and "revised_prompt" in body["data"][0],
        "content-type": lambda body: "mime_type" not in body["data"][0] and "content_type" in body["data"][0],
        "credits-used": lambda body: body["meta"]["usage"] == {"credits_used": 2 * PRICE},
        "usd-spent": lambda body: body["meta"]["usage"] == {"credits_used": 2 * PRICE, "usd_spent": 0.126},
        "no-usage": lambda body: "meta" not in body,
        "nan": lambda body: body["meta"]["usage"]["tokens_used"] != body["meta"]["usage"]["tokens_used"],
        "lone-surrogate": lambda body: body["data"][0]["prompt"].endswith("\ud800"),
    }
    async with Sandbox() as sandbox:
        for kind, holds in shapes.items():
            sandbox.behaviour = Behaviour(faults=(Fault(kind),))
            reply = await ask(sandbox, num_images=2, seed=1)
            assert reply.status == 200
            assert holds(reply.json), kind
        assert sandbox.request_log.billed_credits() == len(shapes) * 2 * PRICE


async def test_a_signed_url_works_until_its_time_is_over() -> None:
    now = [datetime(2026, 11, 23, 8, tzinfo=UTC).timestamp()]
    async with Sandbox(behaviour=Behaviour(faults=(Fault("signed-url"),)), clock=lambda: now[0]) as sandbox:
        url = (await ask(sandbox)).json["data"][0]["url"]
        assert "X-Amz-Date=20261123T080000Z&X-Amz-Expires=604800" in url
        assert (await fetch(url)).status == 200
        now[0] += 604801
        reply = await fetch(url)
        assert reply.status == 403
        assert b"expired" in reply.body
        assert (await fetch(url.replace("604800", "soon"))).status == 200


async def test_an_expired_url_is_dead_on_arrival() -> None:
    async with Sandbox(behaviour=Behaviour(faults=(Fault("expired-url"),))) as sandbox:
        assert (await fetch((await ask(sandbox)).json["data"][0]["url"])).status == 403
