"""A budget is a cap: what may go over it is not sent."""

import anyio
import pytest
from aiohttp import web

from sandbox import Behaviour, Fault
from tests.run.site import PRICE, Site, faults
from tests.run.upstream import picture, serving

FOXES = tuple(f"Fox {n}" for n in range(6))


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_a_budget_is_used_and_never_exceeded(site: Site, concurrency: int) -> None:
    site.sandbox.behaviour = Behaviour(latency=0.005)
    summary = await site.run(*FOXES, limits={"budget_tokens": 3 * PRICE + 1, "concurrency": concurrency})
    assert (summary.exit_code, summary.saved, summary.pending) == (7, 3, 3)
    assert site.sandbox.request_log.billed_credits() == summary.tokens_used == 3 * PRICE
    assert "budget" in (summary.reason or "")


async def test_what_the_budget_left_is_pending_and_made_by_the_next_run(site: Site) -> None:
    await site.run(*FOXES, limits={"budget_tokens": 2 * PRICE})
    assert [record.cause for record in site.records()].count("pending") == 4
    assert await site.asks(limits={"budget_tokens": 10 * PRICE}) == 4
    assert {record.status for record in site.records()} == {"saved"}


async def test_a_budget_below_one_image_sends_nothing(site: Site) -> None:
    summary = await site.run({"prompt": "A fox", "count": 4}, limits={"budget_tokens": PRICE - 1})
    assert (summary.exit_code, site.posts, summary.pending) == (7, 0, 4)


async def test_a_request_for_several_images_shrinks_to_what_the_budget_allows(site: Site) -> None:
    summary = await site.run({"prompt": "A fox", "count": 4}, limits={"budget_tokens": 4 * PRICE - 1})
    assert (summary.exit_code, site.posts, summary.saved, summary.pending) == (7, 1, 3, 1)
    assert await site.asks(limits={"budget_tokens": PRICE}) == 1
    assert {record.status for record in site.records()} == {"saved"}


async def test_what_the_budget_was_promised_to_is_sent_though_another_request_does_not_fit(site: Site) -> None:
    jobs = ["A fox", *({"prompt": f"Crow {n}", "count": 4} for n in range(9))]
    summary = await site.run(*jobs, limits={"budget_tokens": 2 * PRICE, "requests_per_minute": 600})
    assert (summary.exit_code, summary.saved) == (7, 2)
    assert site.sandbox.request_log.billed_credits() == 2 * PRICE


async def test_a_refused_request_gives_its_share_of_the_budget_back(site: Site) -> None:
    site.sandbox.behaviour = faults(Fault(("400", "500", "ok")))
    summary = await site.run("A fox", "A crow", limits={"budget_tokens": PRICE})
    assert (summary.exit_code, dict(summary.failed), summary.saved) == (1, {"rejected": 1}, 1)


async def test_what_may_have_been_billed_counts_against_the_budget(site: Site) -> None:
    site.sandbox.behaviour = faults(("reset-after-billing", "ok"))
    summary = await site.run("A fox", limits={"budget_tokens": 2 * PRICE - 1})
    assert (summary.exit_code, site.posts, len(summary.lost)) == (7, 1, 1)
    assert site.sandbox.request_log.billed_credits() == PRICE


async def test_what_turns_out_not_to_have_been_billed_gives_its_share_back(site: Site) -> None:
    site.sandbox.behaviour = faults(("reset-before-billing", "ok"))
    summary = await site.run("A fox", limits={"budget_tokens": PRICE})
    assert (summary.exit_code, site.posts, summary.saved) == (0, 2, 1)


async def test_a_budget_in_dollars_is_the_same_cap_and_the_lower_one_holds(site: Site) -> None:
    limits = {"budget_usd": 0.13, "budget_tokens": 10 * PRICE}
    summary = await site.run(*FOXES, limits=limits)
    assert (summary.exit_code, site.posts) == (7, 2)
    assert "$0.13" in (summary.reason or "")
    assert await site.asks(limits={"budget_usd": 10, "budget_tokens": PRICE}) == 1


async def test_a_window_counts_what_earlier_runs_on_the_same_folder_have_spent(site: Site) -> None:
    await site.run(*FOXES[:2], limits={"budget_tokens": 3 * PRICE, "budget_window": "30d"})
    site.sandbox.behaviour = faults("reset-after-billing")
    await site.run(*FOXES[:3], limits={"budget_tokens": 3 * PRICE, "budget_window": "30d", "retry_paid_budget_usd": 0})
    site.sandbox.behaviour = faults()
    summary = await site.run(*FOXES, limits={"budget_tokens": 3 * PRICE, "budget_window": "30d"})
    assert (summary.exit_code, site.posts) == (7, 3)
    assert "earlier runs" in (summary.reason or "")
    assert await site.asks(limits={"budget_tokens": 3 * PRICE}) == 3


async def test_a_model_without_a_known_price_is_asked_one_by_one_until_an_answer_tells_it(site: Site) -> None:
    names = [f"Fox {n}" for n in range(4)]
    limits = {"budget_tokens": 3 * 100, "concurrency": 4}
    in_flight, most = 0, []

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal in_flight
        in_flight += 1
        most.append(in_flight)
        await anyio.sleep(0.01)
        in_flight -= 1
        url = f"http://{request.host}/picture"
        return web.json_response({"data": [{"url": url}], "meta": {"usage": {"tokens_used": 100}}})

    async with serving(answer, picture=picture) as base:
        summary = await site.run(*names, endpoint=base, model="nobody/knows", limits=limits)
    assert (summary.exit_code, len(most), most[0], summary.tokens_used) == (7, 3, 1, 300)


async def test_a_cost_out_of_all_proportion_is_taken_for_a_mistake_and_counts_at_list_price(site: Site) -> None:
    usage = {"usage": {"tokens_used": 10**12, "usd_spent": 5e5}}

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": [{"url": f"http://{request.host}/picture"}], "meta": usage})

    async with serving(answer, picture=picture) as base:
        summary = await site.run("A fox", endpoint=base)
    assert (summary.tokens_used, summary.absurd_cost, summary.books.billed) == (PRICE, 1, PRICE)
    assert site.record().usd == 0.063
    assert any("gave an implausible cost" in line for line in summary.lines())


async def test_a_budget_that_is_just_enough_is_no_reason_to_stop(site: Site) -> None:
    assert (await site.run(*FOXES, limits={"budget_tokens": 6 * PRICE})).exit_code == 0
