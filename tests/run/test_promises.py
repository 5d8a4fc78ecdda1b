"""Promises that were broken once, each where two rooms looked at a world that changed between them."""

import asyncio
import base64
import json
from typing import Any

import pytest
from aiohttp import web

from pipeline import Record, Selection, load_job, run_async
from pipeline.limits.breaker import CircuitBreaker
from pipeline.run import preflight as preflight_room
from pipeline.run.up_to_date import RunRequest, unchanged
from sandbox import Behaviour, Fault
from sandbox.painter import Painting, paint
from tests.run.site import KEY, PRICE, Site, faults
from tests.run.upstream import serving


@pytest.mark.parametrize("kind", ["cdn-404", "cdn-bit-flip", "cdn-wrong-size", "cdn-503"])
async def test_a_forced_remake_whose_download_fails_leaves_the_old_picture_in_the_manifest(
    site: Site, kind: str
) -> None:
    await site.run("A fox")
    site.sandbox.behaviour = faults(kind)
    summary = await site.run(selection=Selection(force=True))
    assert len(site.pictures()) == 1  # the old file is there, sound and paid for
    assert (summary.saved, site.record().status) == (1, "saved")


async def test_limit_is_a_cap_on_what_is_bought(site: Site) -> None:
    limits = {"concurrency": 1, "downloads": 1}
    fox = {"id": "a", "prompt": "A fox", "count": 4}
    site.sandbox.behaviour = Behaviour(faults=(Fault("signed-url"), Fault("cdn-503")))
    await site.run(fox, limits=limits)  # four pictures, paid for and not downloaded; their URLs say when they end
    site.sandbox.behaviour = Behaviour(faults=(Fault("signed-url"),))
    summary = await site.run(
        fox, {"id": "b", "prompt": "A crow", "count": 8}, limits=limits, selection=Selection(limit=5)
    )
    assert summary.made == 5
    assert site.sandbox.request_log.billed_credits() // PRICE == 5


async def test_a_job_that_was_edited_during_a_run_is_no_job_with_nothing_to_do(site: Site) -> None:
    path = site.folder / "job.yaml"
    text = f"endpoint: {site.sandbox.base}\noutput: {site.output}\nprompts:\n  - A fox\n"
    path.write_text(text)
    environ = {"AIML_API_KEY": KEY}

    def edit(_: Record) -> None:
        path.write_text(text + "  - A crow\n")

    await run_async(load_job(path), environ=environ, on_record=edit)
    assert unchanged(RunRequest(path, None, None), environ) is None


async def test_a_list_that_was_edited_during_a_run_never_ends_with_0_and_images_missing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, listed = [f"Fox {n}" for n in range(4)], site.folder / "p.txt"
    listed.write_text("\n".join(rows[:2]))
    await site.run({"file": "p.txt"})
    listed.write_text("\n".join(rows))
    real = preflight_room.preflight

    async def edited(*given: Any) -> None:
        listed.write_text("\n".join(["New 1", "New 2", *rows]))
        await real(*given)

    monkeypatch.setattr(preflight_room, "preflight", edited)
    summary = await site.run()
    assert summary.exit_code or not summary.pending


async def test_one_answer_that_stalls_costs_no_other_paid_answer(site: Site) -> None:
    picture = base64.b64encode(paint(Painting("x", 1, 1024, 1024, "image/png", "m", "1:1"))).decode()
    body = json.dumps({"pad": "x" * 12_000_000, "data": [{"b64_json": picture}], "meta": {"usage": {"tokens_used": 1}}})
    posts = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal posts
        posts += 1
        stalls = posts == 1
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[:400_000].encode() if stalls else body.encode())
        if stalls:
            await asyncio.sleep(3600)
        return response

    async with serving(answer) as base:
        summary = await site.run(
            *(f"Fox {n}" for n in range(8)),
            endpoint=base,
            model="some/model",
            aspect_ratios=[],
            limits={"concurrency": 8, "requests_per_minute": 100_000, "request_timeout": 4, "settle": 0},
        )
    assert (summary.saved, dict(summary.failed)) == (7, {"lost": 1})


@pytest.mark.parametrize("downloads", [16, 64])
async def test_while_the_provider_is_out_only_probes_leave(
    site: Site, monkeypatch: pytest.MonkeyPatch, downloads: int
) -> None:
    opened: list[int] = []
    real = CircuitBreaker.record_failure

    def failed(self: CircuitBreaker, item: str, error: Any) -> bool:
        told = real(self, item, error)
        if self.is_open and not opened:
            opened.append(site.posts)
        return told

    monkeypatch.setattr(CircuitBreaker, "record_failure", failed)
    site.sandbox.behaviour = Behaviour(faults=(Fault("500"),), latency=0.01)
    await site.run(
        *(f"Fox {n}" for n in range(100)),
        limits={"concurrency": 2, "downloads": downloads, "patience": 0.8, "requests_per_minute": 6000},
    )
    assert site.posts <= opened[0] + 2  # what was in flight then; the first probe is due after 30 s
