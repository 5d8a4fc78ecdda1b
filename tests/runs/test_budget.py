"""A budget is a cap: what may go over it is not sent."""

import pytest

from pipeline.sandbox import Behaviour, Fault
from tests.runs.site import PRICE, Site, faults

FOXES = tuple(f"Fox {n}" for n in range(6))


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_a_budget_is_used_and_never_exceeded(site: Site, concurrency: int) -> None:
    site.sandbox.behaviour = Behaviour(latency=0.005)
    summary = await site.run(*FOXES, limits={"budget_tokens": 3 * PRICE + 1, "concurrency": concurrency})
    assert (summary.exit_code, summary.saved, summary.pending) == (7, 3, 3)
    assert site.sandbox.books.billed_credits() == summary.tokens_used == 3 * PRICE
    assert "budget" in (summary.reason or "")


async def test_what_the_budget_left_is_pending_and_made_by_the_next_run(site: Site) -> None:
    await site.run(*FOXES, limits={"budget_tokens": 2 * PRICE})
    assert [record.cause for record in site.records()].count("pending") == 4
    assert await site.asks(limits={"budget_tokens": 10 * PRICE}) == 4
    assert {record.status for record in site.records()} == {"saved"}


async def test_a_budget_below_one_request_sends_nothing(site: Site) -> None:
    summary = await site.run({"prompt": "A fox", "count": 4}, limits={"budget_tokens": 4 * PRICE - 1})
    assert (summary.exit_code, site.posts, summary.pending) == (7, 0, 4)


async def test_a_refused_request_gives_its_share_of_the_budget_back(site: Site) -> None:
    site.sandbox.behaviour = faults(Fault(("400", "500", "ok")))
    summary = await site.run("A fox", "A crow", limits={"budget_tokens": PRICE})
    assert (summary.exit_code, dict(summary.failed), summary.saved) == (1, {"rejected": 1}, 1)


async def test_what_may_have_been_billed_counts_against_the_budget(site: Site) -> None:
    site.sandbox.behaviour = faults(("reset-after-billing", "ok"))
    summary = await site.run("A fox", limits={"budget_tokens": 2 * PRICE - 1})
    assert (summary.exit_code, site.posts, len(summary.maybe_billed)) == (7, 1, 1)
    assert site.sandbox.books.billed_credits() == PRICE


async def test_a_budget_that_is_just_enough_is_no_reason_to_stop(site: Site) -> None:
    assert (await site.run(*FOXES, limits={"budget_tokens": 6 * PRICE})).exit_code == 0
