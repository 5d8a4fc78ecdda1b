"""The answers of asynchronous APIs, which promise a picture instead of bringing it."""

from typing import Any

import pytest
from aiohttp import web

from pipeline.ledger import LedgerReader
from tests.run.site import Site
from tests.run.upstream import GOOD, ONE_AT_A_TIME, Upstream, asked, saying, serving

TICKETS = [
    (200, {"id": "t-1", "status": "queued"}),
    (201, {"id": "t-1", "status": "starting", "output": None, "urls": {"get": "https://x.example/t-1?sig=SECRET"}}),
    (202, {"request_id": "t-1", "status": "IN_QUEUE", "status_url": "https://x.example/t-1?sig=SECRET"}),
    (200, {"output": {"task_id": "t-1", "task_status": "PENDING"}, "request_id": "r"}),
    (200, {"code": 200, "data": [{"task_id": "t-1", "status": "submitted"}]}),
    (200, {"id": "t-1", "polling_url": "https://x.example/t-1?sig=SECRET"}),
    (200, {"name": "t-1", "done": False}),
    (200, [{"id": "t-1", "status": "queued"}]),
    (200, {"data": [{"taskType": "imageInference", "taskUUID": "t-1"}]}),
    (202, {"data": {"attributes": {"task": {"id": "t-1", "status": "PENDING"}}}}),
    (200, {"id": "t-1", "object": "image.generation.task", "progress": 0, "results": []}),
]


@pytest.mark.parametrize(("status", "said"), TICKETS)
async def test_an_asynchronous_answer_is_accepted_and_never_posted_again(site: Site, status: int, said: Any) -> None:
    upstream = Upstream(other=saying(said, status=status))
    async with serving(upstream.answer) as base:
        await site.run("A fox", endpoint=base)
        await site.run()
    assert upstream.asked.total() == 1
    assert site.summary is not None
    assert site.summary.exit_code == 1
    (record,) = site.records()
    assert record.status == "failed"
    assert "t-1" in (record.error or "")
    assert "SECRET" not in (record.error or "")
    with LedgerReader(site.output / ".pipeline" / "ledger.db") as ledger:
        assert ledger.books(sandbox=False).unresolved or ledger.books(sandbox=False).unknown_cost


@pytest.mark.parametrize("name", ["Location", "Operation-Location"])
async def test_a_place_to_ask_at_is_a_ticket_without_a_body(site: Site, name: str) -> None:
    async def empty(request: web.Request) -> web.StreamResponse:
        return web.Response(status=202, headers={name: "/tasks/t-1"})

    upstream = Upstream(other=empty)
    async with serving(upstream.answer) as base:
        await site.run("A fox", endpoint=base)
        await site.run()
    assert site.summary is not None
    assert (upstream.asked.total(), dict(site.summary.failed)) == (1, {"accepted": 1})


async def test_an_asynchronous_api_stops_the_run_after_a_handful(site: Site) -> None:
    upstream = Upstream(other=saying({"id": "t-1", "status": "queued"}))
    await asked(site, upstream, *(f"Fox {n}" for n in range(25)), limits=ONE_AT_A_TIME)
    assert site.summary is not None
    assert (site.summary.exit_code, upstream.asked.total()) == (8, 8)
    assert "asynchronous" in (site.summary.reason or "")


async def test_a_202_with_a_picture_is_paid_for_and_saved(site: Site) -> None:
    await asked(site, Upstream(other=saying(GOOD, status=202)), "A fox")
    assert site.summary is not None
    assert site.summary.exit_code == 0
