"""A picture that is paid for is fetched whatever the CDN does, and the API is not asked again for it."""

import io
from datetime import UTC, datetime

import pytest
from aiohttp import web
from PIL import Image

from sandbox import Behaviour, Fault
from tests.run.site import PRICE, Site, faults
from tests.run.upstream import picture, serving

PASSING = [
    "cdn-403",
    "cdn-404",
    "cdn-410",
    "cdn-429",
    "cdn-500",
    "cdn-502",
    "cdn-503",
    "cdn-504",
    "cdn-truncated",
    "cdn-cut-close",
    "cdn-long-length",
    "cdn-reset",
    "cdn-no-answer",
    "cdn-garbage",
    "cdn-bit-flip",
    "cdn-html",
    "cdn-json",
    "cdn-wrong-type",
    "cdn-empty",
    "cdn-no-range",
    "cdn-redirect",
    "cdn-redirect-loop",
]
"""Kinds after which the picture can still be had."""


@pytest.mark.parametrize("kind", PASSING)
async def test_a_fault_that_passes_costs_nothing_and_leaves_the_right_picture(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults((kind, "cdn-ok"))
    summary = await site.run({"id": "fox", "prompt": "A fox", "seeds": [7]})
    assert (summary.exit_code, site.posts, site.sandbox.request_log.billed_credits()) == (0, 1, PRICE)
    faulty = site.pictures()
    site.sandbox.behaviour = faults()
    await site.run(output=str(site.folder / "other"))
    assert list(faulty.values()) == [(site.folder / "other" / next(iter(faulty))).read_bytes()]


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("cdn-403", "download"),
        ("cdn-404", "download"),
        ("cdn-410", "download"),
        ("cdn-429", "download"),
        ("cdn-500", "download"),
        ("cdn-503", "download"),
        ("cdn-long-length", "download"),
        ("cdn-no-answer", "download"),
        ("cdn-garbage", "download"),
        ("cdn-bit-flip", "download"),
        ("cdn-html", "download"),
        ("cdn-json", "download"),
        ("cdn-svg", "bad-picture"),
        ("cdn-eps", "bad-picture"),
        ("cdn-pixel-bomb", "bad-picture"),
        ("cdn-huge-length", "bad-picture"),
        ("cdn-negative-length", "download"),
        ("cdn-gzip-bomb", "bad-picture"),
        ("cdn-cut-close", "download"),
        ("cdn-empty", "download"),
        ("cdn-endless", "bad-picture"),
        ("cdn-wrong-size", "bad-picture"),
        ("cdn-redirect-loop", "download"),
        ("cdn-redirect-file", "download"),
    ],
)
async def test_a_fault_that_stays_fails_the_image_and_never_asks_the_api_again(
    site: Site, kind: str, cause: str
) -> None:
    site.sandbox.behaviour = faults(kind)
    summary = await site.run("A fox")
    assert (summary.exit_code, dict(summary.failed), site.posts) == (1, {cause: 1}, 1)
    assert site.pictures() == {}
    record = site.record()
    assert (record.cause, record.path, record.tokens_used) == (cause, None, PRICE)
    assert record.url
    assert await site.asks() == 0


async def test_a_sound_picture_of_the_wrong_shape_never_gets_the_name(site: Site) -> None:
    site.sandbox.behaviour = faults("cdn-wrong-size")
    await site.run({"id": "fox", "prompt": "A fox"})
    assert "not of the shape asked for" in (site.record().error or "")
    (kept,) = site.output.glob(".pipeline/quarantine/*")
    with Image.open(io.BytesIO(kept.read_bytes())) as found:
        assert found.size == (768, 704)


async def test_a_broken_download_goes_on_where_it_broke(site: Site) -> None:
    site.sandbox.behaviour = faults(("cdn-truncated", "cdn-ok"))
    await site.run("A fox")
    first, second = site.sandbox.request_log.last_gets()
    (picture,) = site.pictures().values()
    assert first.path == second.path
    assert "range" not in first.headers
    assert second.headers["range"] == f"bytes={len(picture) // 2}-"
    assert second.headers["if-range"]


async def test_the_key_is_never_sent_for_a_picture(site: Site) -> None:
    site.sandbox.behaviour = faults(("cdn-truncated", "cdn-500", "cdn-redirect", "cdn-ok"))
    await site.run("A fox")
    gets = site.sandbox.request_log.last_gets()
    assert len(gets) > 2
    assert not any("authorization" in get.headers for get in gets)


async def test_a_cdn_that_fails_every_third_time_costs_not_one_request_more(site: Site) -> None:
    kinds = ("cdn-500", "cdn-truncated", "cdn-bit-flip", "cdn-html", "cdn-reset", "cdn-no-answer")
    mixed = tuple(Fault(kind, probability=0.3 / len(kinds)) for kind in kinds)
    site.sandbox.behaviour = Behaviour(faults=mixed, seed=3)
    summary = await site.run(*({"prompt": f"Fox {n}", "count": 4} for n in range(10)))
    assert (summary.exit_code, summary.saved, len(site.pictures()), site.posts) == (0, 40, 40, 10)
    assert site.sandbox.request_log.gets() > 40
    assert not list(site.output.glob(".*.part"))


async def test_one_lost_picture_of_four_does_not_touch_the_others(site: Site) -> None:
    site.sandbox.behaviour = faults(Fault("cdn-404", times=3))
    summary = await site.run({"prompt": "A fox", "count": 4}, limits={"downloads": 1, "concurrency": 1})
    assert summary.saved + sum(summary.failed.values()) == 4
    assert site.posts == 1


async def test_a_picture_over_the_limit_is_not_kept(site: Site) -> None:
    summary = await site.run("A fox", limits={"max_image_bytes": 2048})
    assert dict(summary.failed) == {"bad-picture": 1}
    assert site.pictures() == {}


async def test_a_url_that_ends_sooner_is_fetched_first(site: Site) -> None:
    ends = {"Fox 0": 900, "Fox 1": 60, "Fox 2": 300}

    async def answer(request: web.Request) -> web.StreamResponse:
        prompt = (await request.json())["prompt"]
        signed = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        query = f"?X-Amz-Date={signed}&X-Amz-Expires={ends[prompt]}" if prompt in ends else ""
        return web.json_response({"data": [{"url": f"http://{request.host}/{prompt.replace(' ', '-')}{query}"}]})

    fetched: list[str] = []
    broken = True

    async def fox(request: web.Request) -> web.StreamResponse:
        if broken:
            return web.Response(status=503)
        fetched.append(request.path)
        return await picture(request)

    prompts = [f"Fox {n}" for n in range(4)]
    async with serving(answer, **{f"Fox-{n}": fox for n in range(4)}) as base:
        await site.run(*prompts, endpoint=base)
        broken = False
        assert (await site.run(limits={"downloads": 1, "concurrency": 1})).exit_code == 0
    assert fetched == ["/Fox-1", "/Fox-2", "/Fox-0", "/Fox-3"]


async def test_a_url_that_has_ended_is_lost_with_its_price(site: Site) -> None:
    site.sandbox.behaviour = faults("expired-url")
    summary = await site.run("A fox")
    assert dict(summary.failed) == {"lost": 1}
    assert "its URL was good until 20" in (site.record().error or "")
    assert "it cost 126,000 tokens ($0.063)" in (site.record().error or "")
    assert summary.books.lost == PRICE
