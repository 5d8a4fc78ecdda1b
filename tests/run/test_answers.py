"""Every shape of a paid answer lands as a whole file, with what it says written down."""

import base64
import json
from typing import Any

import pytest
from PIL import Image

from tests.run.site import PRICE, Site, faults
from tests.run.upstream import picture, png, saying, serving

SHAPES = ["b64", "images", "choices", "data-uri", "signed-url", "revised-prompt", "content-type", "lone-surrogate"]


@pytest.mark.parametrize("kind", SHAPES)
async def test_every_shape_of_an_answer_gives_whole_files(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults(kind)
    summary = await site.run({"id": "fox", "prompt": "A fox", "count": 2})
    assert (summary.exit_code, summary.saved, site.posts) == (0, 2, 1)
    for name in ("fox.png", "fox-2.png"):
        with Image.open(site.output / name) as found:
            found.load()
            assert found.size == (1408, 768)
    assert await site.asks() == 0


@pytest.mark.parametrize("kind", ["b64", "choices", "data-uri"])
async def test_bytes_in_the_answer_need_no_download_and_leave_no_url(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults(kind)
    await site.run("A fox")
    assert site.sandbox.request_log.gets() == 0
    record = site.record()
    assert (record.status, record.url, record.mime_type) == ("saved", None, "image/png")


@pytest.mark.parametrize("kind", ["b64", "choices", "data-uri"])
async def test_a_deleted_file_that_came_within_an_answer_is_had_again_or_made_again(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults(kind)
    await site.run({"id": "fox", "prompt": "A fox"})
    (site.output / "fox.png").unlink()
    summary = await site.run()
    assert (summary.exit_code, list(site.pictures())) == (0, ["fox.png"])
    assert site.posts <= 2


@pytest.mark.parametrize("kind", ["ok", "revised-prompt"])
async def test_a_rewritten_prompt_is_written_down(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults(kind)
    await site.run("A fox", parameters={"enhance_prompt": True})
    record = site.record()
    assert record.prompt == "A fox"
    assert record.revised_prompt == "A fox, highly detailed, soft natural light, balanced composition."


@pytest.mark.parametrize("kind", ["ok", "credits-used", "usd-spent", "nan", "no-usage"])
async def test_every_word_for_the_cost_is_understood(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults(kind)
    summary = await site.run("A fox")
    assert (summary.tokens_used, summary.unknown_cost) == (PRICE, 0)
    assert site.record().tokens_used == PRICE


async def test_dollars_are_written_down_where_the_answer_says_them(site: Site) -> None:
    site.sandbox.behaviour = faults("usd-spent")
    summary = await site.run("A fox")
    assert summary.usd == site.record().usd == PRICE / 2_000_000


async def test_a_url_that_has_expired_when_it_comes_is_lost_and_not_asked_for_again(site: Site) -> None:
    site.sandbox.behaviour = faults("expired-url")
    summary = await site.run("A fox")
    assert (summary.exit_code, dict(summary.failed), site.posts) == (1, {"lost": 1}, 1)
    assert await site.asks() == 0


async def test_the_signature_of_a_url_is_in_no_message_and_not_in_the_manifest(site: Site) -> None:
    site.sandbox.behaviour = faults("expired-url")
    await site.run("A fox")
    record = site.record()
    assert (record.url or "").startswith(site.sandbox.cdn_base)
    assert "X-Amz" not in f"{record.url} {record.error}"


async def test_a_relative_url_is_relative_to_the_endpoint(site: Site) -> None:
    async with serving(saying({"data": [{"url": "/p.png"}]}), **{"p.png": picture}) as base:
        summary = await site.run({"id": "fox", "prompt": "A fox"}, endpoint=base)
    assert summary.exit_code == 0
    assert site.pictures() == {"fox.png": png()}
    assert site.record().url == "/p.png"


@pytest.mark.parametrize(
    "body",
    [
        {"data": ["/p.png"]},
        {"images": [{"image_url": "/p.png"}]},
        {"output": {"choices": [{"image_base64": base64.b64encode(png()).decode()}]}},
        {"data": [{"b64_json": base64.encodebytes(png()).decode()}]},
    ],
    ids=json.dumps,
)
async def test_shapes_of_kindred_servers_are_understood(site: Site, body: Any) -> None:
    async with serving(saying(body), **{"p.png": picture}) as base:
        summary = await site.run({"id": "fox", "prompt": "A fox"}, endpoint=base)
    assert (summary.exit_code, summary.unknown_cost) == (0, 1)
    assert site.pictures() == {"fox.png": png()}
    assert site.record().tokens_used is None


async def test_base64_that_is_none_is_a_bad_picture_and_asked_for_once(site: Site) -> None:
    async with serving(saying({"data": [{"b64_json": "@@@"}]})) as base:
        summary = await site.run("A fox", endpoint=base)
    assert (dict(summary.failed), summary.requests) == ({"bad-picture": 1}, 1)


async def test_more_pictures_than_asked_for_are_left_alone(site: Site) -> None:
    async with serving(saying({"data": [{"url": "/p.png"}, {"url": "/p.png"}]}), **{"p.png": picture}) as base:
        summary = await site.run("A fox", endpoint=base)
    assert (summary.exit_code, summary.images, len(site.pictures())) == (0, 1, 1)


async def test_a_url_that_leads_to_a_local_file_is_not_followed(site: Site) -> None:
    async with serving(saying({"data": [{"url": "file:///etc/passwd"}]})) as base:
        summary = await site.run("A fox", endpoint=base)
    assert (summary.exit_code, dict(summary.failed)) == (1, {"lost": 1})
    assert "unsafe image URL" in (site.record().error or "")
