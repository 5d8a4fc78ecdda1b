import io
import random
import re
from typing import Any

import anyio
import pytest

from sandbox import Behaviour, Fault, Sandbox
from sandbox.orders import Refusal, read_order
from tests.sandbox.client import MODEL, PATH, PRICE, Reply, ask, fetch, look, picture_url, send


async def test_an_answer_has_the_documented_form() -> None:
    async with Sandbox(clock=lambda: 1758237214.798) as sandbox:
        reply = await ask(sandbox, aspect_ratio="16:9", num_images=2, label="a:b_c.1-2")
    assert reply.status == 200
    assert reply.headers["x-pipeline-sandbox"] == "1"
    assert reply.headers["x-client-request-id"] == "a:b_c.1-2"
    assert re.fullmatch(r"[0-9a-f-]{36}", reply.headers["x-inference-id"])
    assert reply.headers["x-aimlapi-credits-used"] == str(2 * PRICE)
    assert float(reply.headers["x-aimlapi-usd-spent"]) == 0.126
    assert reply.json["meta"] == {"usage": {"tokens_used": 2 * PRICE}}
    assert reply.json["created"] == 1758237214
    for image in reply.json["data"]:
        assert image["mime_type"] == "image/png"
        assert image["prompt"].startswith("A fox, highly detailed")
        path = image["url"].removeprefix(sandbox.cdn_base)
        assert re.fullmatch(r"/generations/guepard/1758237214798-[0-9a-f-]{36}\.png", path)


async def test_every_request_is_in_the_log() -> None:
    async with Sandbox() as sandbox:
        await ask(sandbox, label="mine", num_images=2)
        await ask(sandbox, aspect_ratio="5:4")
        first, second = sandbox.request_log.requests()
    assert (first.status, first.http_status, first.credits, first.images) == ("succeeded", 200, 2 * PRICE, 2)
    assert (first.model, first.prompt, first.client_request_id) == (MODEL, "A fox", "mine")
    assert (second.status, second.http_status, second.credits, second.images) == ("refused", 400, 0, 0)


@pytest.mark.parametrize("label", ["", "x" * 129, "with space", "ümlaut", "a/b"])
async def test_a_label_that_is_not_valid_is_dropped_in_silence(label: str) -> None:
    async with Sandbox() as sandbox:
        reply = await ask(sandbox, label=label)
        assert reply.status == 200
        assert "x-client-request-id" not in reply.headers
        assert sandbox.request_log.count(client_request_id=None) == 1


async def test_the_same_label_twice_is_billed_twice() -> None:
    async with Sandbox() as sandbox:
        await ask(sandbox, label="same")
        await ask(sandbox, label="same")
        assert sandbox.request_log.billed_credits() == 2 * PRICE


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"model": "nobody/nothing"}, 404, "nobody/nothing not found"),
        ({"model": None}, 400, "model: expected string, received undefined"),
        ({"prompt": "x" * 401}, 400, "prompt"),
        ({"prompt": 7}, 400, "prompt"),
        ({"aspect_ratio": "5:4"}, 400, "aspect_ratio"),
        ({"num_images": 5}, 400, "num_images"),
        ({"seed": -1}, 400, "seed"),
        ({"seed": 2**32}, 400, "seed"),
        ({"enhance_prompt": "yes"}, 400, "enhance_prompt"),
        ({"sed": 1}, 400, "sed"),
    ],
)
async def test_a_body_that_is_not_valid_is_refused_as_the_vendor_does(
    body: dict[str, Any], status: int, says: str
) -> None:
    async with Sandbox() as sandbox:
        reply = await ask(sandbox, **body)
        assert reply.status == status
        assert says in reply.json["message"]
        assert reply.json["path"] == PATH
        assert reply.json["statusCode"] == status
        assert reply.json["requestId"] == reply.headers["x-inference-id"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", reply.json["timestamp"])
        assert sandbox.request_log.billed_credits() == 0


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[" * 10**5, b'{"prompt": NaN}', b"\xff", b"[1]", b"null", b'"text"', b"7"]
)
async def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    async with Sandbox() as sandbox:
        reply = await send("POST", sandbox.base + PATH, data=data)
        assert reply.status == 400
        assert [row.status for row in sandbox.request_log.requests()] == ["refused"]


async def test_a_body_that_is_too_large_is_refused() -> None:
    async with Sandbox() as sandbox:
        reply = await send("POST", sandbox.base + PATH, data=io.BytesIO(bytes(11 * 1024 * 1024)))
    assert (reply.status, reply.json["statusCode"]) == (413, 413)


async def test_a_path_or_method_that_does_not_exist_is_a_404_of_the_vendor() -> None:
    async with Sandbox() as sandbox:
        for method, path in (("GET", "/v1/nothing"), ("GET", PATH), ("DELETE", "/v2/billing")):
            reply = await send(method, sandbox.base + path)
            assert reply.status == 404
            assert reply.json["message"] == f"Cannot {method} {path}"


@pytest.mark.parametrize("path", [PATH, "/v2/billing", "/v2/logs", "/v2/billing/transactions"])
async def test_without_the_right_key_nothing_is_told(path: str) -> None:
    method = "POST" if path == PATH else "GET"
    async with Sandbox(key="right") as sandbox:
        for key in (None, "", "wrong"):
            reply = await send(method, sandbox.base + path, key=key, json={})
            assert reply.status == 401
        assert sandbox.request_log.billed_credits() == 0
        assert (await ask(sandbox)).status == 401
        body = {"model": MODEL, "prompt": "A fox"}
        assert (await send("POST", sandbox.base + PATH, key="right", json=body)).status == 200


async def test_the_balance_falls_until_credit_is_out() -> None:
    async with Sandbox(balance=0.2) as sandbox:
        replies = [await ask(sandbox, num_images=n) for n in (2, 2, 1, 1)]
        assert [reply.status for reply in replies] == [200, 403, 200, 403]
        assert "credits" in replies[1].json["message"]
        assert (await look(sandbox, "/v2/billing")).json == {"current_balance": 0.011, "currency": "USD"}


async def test_the_same_prompt_and_seed_give_the_same_bytes() -> None:
    async with Sandbox() as sandbox:
        one, other = [(await fetch(await picture_url(sandbox, seed=7))).body for _ in range(2)]
        elsewhere = (await fetch(await picture_url(sandbox, seed=8))).body
    assert one == other != elsewhere


async def test_images_of_one_request_differ_and_follow_from_its_seed() -> None:
    async with Sandbox() as sandbox:
        first, second = (await ask(sandbox, seed=2**32 - 1, num_images=2)).json["data"]
        one, two = [(await fetch(image["url"])).body for image in (first, second)]
        assert one != two
        assert (await fetch(await picture_url(sandbox, seed=0))).body == two


async def test_without_a_seed_every_call_differs_and_every_url_stays_as_it_is() -> None:
    async with Sandbox() as sandbox:
        urls = [await picture_url(sandbox) for _ in range(2)]
        first, second = [(await fetch(url)).body for url in urls]
        assert first != second
        assert (await fetch(urls[0])).body == first


async def test_bytes_are_answered_where_no_url_is_wanted() -> None:
    async with Sandbox() as sandbox:
        image = (await ask(sandbox, convert_base64_to_url=False)).json["data"][0]
    assert "url" not in image
    assert image["b64_json"].startswith("iVBORw0KGgo")


async def test_the_prompt_comes_back_as_it_was_unless_it_is_enhanced() -> None:
    async with Sandbox() as sandbox:
        assert (await ask(sandbox, enhance_prompt=False)).json["data"][0]["prompt"] == "A fox"


async def test_too_many_at_once_are_refused() -> None:
    replies: list[Reply] = []
    async with Sandbox(behaviour=Behaviour(latency=0.05, latency_jitter=0.01, concurrency=2)) as sandbox:

        async def one() -> None:
            replies.append(await ask(sandbox))

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)
        assert (await ask(sandbox)).status == 200
    assert sorted(reply.status for reply in replies) == [200, 200, 429, 429, 429]
    assert replies[0].headers["Retry-After"] == "1"


@pytest.mark.parametrize(("configured", "sent"), [("auto", "10"), ("Mon, 23 Nov 2026 08:00:00 GMT",) * 2, (None, None)])
async def test_too_fast_is_refused_and_says_until_when(configured: str | None, sent: str | None) -> None:
    now = [1000.0]
    behaviour = Behaviour(requests_per_minute=6, retry_after=configured)
    async with Sandbox(behaviour=behaviour, clock=lambda: now[0]) as sandbox:
        assert (await ask(sandbox)).status == 200
        reply = await ask(sandbox)
        assert (reply.status, reply.headers.get("Retry-After")) == (429, sent)
        now[0] += 10
        assert (await ask(sandbox)).status == 200
        assert sandbox.request_log.billed_credits() == 2 * PRICE


async def test_a_request_is_billed_even_when_its_client_vanishes() -> None:
    async with Sandbox(behaviour=Behaviour(latency=60)) as sandbox:
        with anyio.move_on_after(0.05):
            await ask(sandbox)
        (row,) = sandbox.request_log.requests()
        assert (row.status, row.http_status, row.credits) == ("succeeded", None, PRICE)
        sandbox.behaviour = Behaviour(concurrency=1)
        assert (await ask(sandbox)).status == 200


async def test_behaviour_may_change_while_running() -> None:
    async with Sandbox() as sandbox:
        assert (await ask(sandbox)).status == 200
        sandbox.behaviour = Behaviour(faults=(Fault("503", match="fox", times=1),))
        assert sandbox.behaviour.faults
        assert [(await ask(sandbox, "hare")).status, (await ask(sandbox)).status, (await ask(sandbox)).status] == [
            200,
            503,
            200,
        ]


def order(**body: Any) -> Any:
    return read_order({"model": MODEL, "prompt": "A fox", **body}, random.Random(0))


def test_the_names_of_openai_are_understood_for_every_model() -> None:
    understood = order(n=3, size="1792x1024", response_format="b64_json", user="me", quality="hd", style="vivid")
    assert len(understood.pictures) == 3
    assert (understood.pictures[0].width, understood.pictures[0].height) == (1408, 768)
    assert understood.inline
    assert not order(response_format="url", size="auto").inline


def test_a_size_becomes_the_nearest_that_the_model_has() -> None:
    for size, wanted in (("1024x1024", "1:1"), ("1024x1536", "3:4"), ("1024x1792", "9:16"), ("0x5", "1:1")):
        assert order(size=size).pictures[0].ratio == wanted
    tall = order(model="alibaba/z-image-turbo", size="1024x1792").pictures[0]
    assert (tall.width, tall.height) == (576, 1024)


def test_a_size_is_passed_over_where_the_model_has_one_shape() -> None:
    assert order(model="x-ai/grok-2-image", size="1792x1024", n=2).pictures[1].width == 1024


def test_the_models_own_names_are_checked_as_ever() -> None:
    with pytest.raises(Refusal, match="size"):
        order(model="dall-e-3", size="1x1")
    with pytest.raises(Refusal, match="n"):
        order(model="alibaba/qwen-image-2-0", n=2)


def test_the_format_is_the_one_asked_for() -> None:
    kinds = [order(model="alibaba/qwen-image-3", output_format=kind).pictures[0].mime_type for kind in ("jpeg", "webp")]
    assert kinds == ["image/jpeg", "image/webp"]
    body = {"model": "topaz-labs/sharpen", "mode": "Standard", "image_url": "https://x.test/a"}
    for format_, mime_type in (("jpg", "image/jpeg"), ("tiff", "image/png")):
        sharpened = read_order(body | {"output_format": format_}, random.Random(0))
        assert [picture.mime_type for picture in sharpened.pictures] == [mime_type]
        assert sharpened.prompt == sharpened.revised_prompt == ""
