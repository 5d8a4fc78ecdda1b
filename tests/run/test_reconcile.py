"""What brought no answer: whether it was billed is read in the vendor's log before it is made again."""

import errno
import socket
import time
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from aiohttp import web

from pipeline import Selection
from pipeline.http import sessions as web_sockets
from pipeline.ledger import LedgerReader
from pipeline.providers.aimlapi.account import Account
from pipeline.run import assemble
from sandbox import Behaviour, Fault
from tests.policies import QUICK
from tests.run.site import PRICE, Site, faults
from tests.run.upstream import picture, serving

UNBILLED = ["html-502", "html-504", "html-524", "408", "reset-before-billing"]
BILLED = [
    *("reset-after-billing", "close-after-billing", "half-status-line", "garbage", "no-headers", "long-header"),
    *("many-headers", "nul-header", "cr-header", "negative-length"),
]
UNREADABLE = [
    *("headers-only", "reset-in-body", "cut", "cut-close", "cut-chunked", "bad-gzip", "gzip-bomb", "large-json"),
    *("invalid-json", "deep-json"),
]


@pytest.mark.parametrize("kind", UNBILLED)
async def test_what_the_log_does_not_know_was_not_billed_and_is_asked_for_again(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults((kind, "ok"))
    summary = await site.run("A fox")
    assert (summary.exit_code, site.posts, site.sandbox.request_log.billed_credits()) == (0, 2, PRICE)
    assert (summary.maybe_billed, summary.lost) == ((), ())
    assert summary.books.billed == summary.books.delivered == PRICE


@pytest.mark.parametrize("kind", BILLED)
async def test_what_was_billed_without_an_answer_is_named_with_its_price_and_asked_for_again(
    site: Site, kind: str
) -> None:
    site.sandbox.behaviour = faults((kind, "ok"))
    summary = await site.run("A fox")
    assert (summary.exit_code, site.posts) == (0, 2)
    (named,) = summary.lost
    assert named.client_request_id == site.sandbox.request_log.requests()[0].client_request_id
    assert named.tokens == PRICE
    assert "the vendor's log says that it was billed" in (named.error or "")
    assert (summary.books.delivered, summary.books.lost) == (PRICE, PRICE)
    assert summary.books.billed == site.sandbox.request_log.billed_credits()
    assert summary.maybe_billed == ()
    assert site.record().tokens_used == 2 * PRICE


@pytest.mark.parametrize("kind", UNREADABLE)
async def test_a_paid_answer_that_cannot_be_read_is_lost_and_never_asked_for_again(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults(kind)
    summary = await site.run("A fox")
    assert (summary.exit_code, dict(summary.failed), site.posts) == (1, {"lost": 1}, 1)
    assert [lost.tokens for lost in summary.lost] == [PRICE]
    assert summary.books.lost == summary.books.billed == PRICE
    assert "126,000 tokens ($0.063)" in (site.record().error or "")
    site.sandbox.behaviour = faults()
    assert await site.asks() == 0
    assert await site.asks(selection=Selection(retry_failed=True)) == 1


async def test_an_answer_whose_body_never_comes_is_paid_for_and_never_asked_for_again(site: Site) -> None:
    site.sandbox.behaviour = faults("hang-in-body")
    summary = await site.run("A fox", limits={"request_timeout": 0.04})
    assert (summary.exit_code, dict(summary.failed), site.posts) == (1, {"lost": 1}, 1)
    assert summary.books.lost == summary.books.billed == PRICE


async def test_an_answer_that_never_comes_is_looked_up_too(site: Site) -> None:
    site.sandbox.behaviour = faults(("hang", "ok"))
    summary = await site.run("A fox", limits={"request_timeout": 0.04})
    assert (summary.exit_code, site.posts, len(summary.lost)) == (0, 2, 1)


async def test_while_one_item_waits_for_the_log_the_others_are_made(site: Site) -> None:
    site.sandbox.behaviour = faults(Fault("reset-after-billing", match="7", times=1))
    done: list[str] = []
    summary = await site.run(
        *(f"Fox {n}" for n in range(10)),
        limits={"concurrency": 1, "downloads": 1, "billing_lag": 0.3},
        on_record=lambda record: done.append(record.prompt),
    )
    assert summary.exit_code == 0
    assert done[-1] == "Fox 7"


@pytest.mark.parametrize(("budget", "asked"), [(0.06, 1), (0.063, 2), (0.13, 3)])
async def test_the_lost_budget_ends_asking_again(site: Site, budget: float, asked: int) -> None:
    site.sandbox.behaviour = faults("reset-after-billing")
    summary = await site.run("A fox", limits={"retry_paid_budget_usd": budget})
    assert (summary.exit_code, dict(summary.failed), site.posts) == (1, {"lost": 1}, asked)
    assert "limits.retry_paid_budget_usd" in (site.record().error or "")
    assert summary.books.lost == asked * PRICE == site.sandbox.request_log.billed_credits()
    assert await site.asks() == 0


async def test_by_default_a_dollar_may_be_lost(site: Site) -> None:
    site.sandbox.behaviour = faults("reset-after-billing")
    summary = await site.run("A fox", limits={"attempts": 20})
    # 15 times $0.063 are within one dollar.
    assert (dict(summary.failed), site.posts) == ({"lost": 1}, 16)


async def test_requests_without_an_end_in_doubt_are_given_up_after_as_many_as_the_limits_say(site: Site) -> None:
    site.sandbox.behaviour = faults("reset-before-billing")
    summary = await site.run("A fox", limits={"attempts": 4})
    # The sandbox's log has a failed row of each.
    assert (dict(summary.failed), site.posts, summary.books.billed) == ({"unavailable": 1}, 4, 0)
    site.sandbox.behaviour = faults()
    assert await site.asks() == 1


async def test_a_charge_that_is_booked_late_is_found_when_the_run_ends(site: Site) -> None:
    site.sandbox.behaviour = Behaviour(booking_delay=0.25, faults=(Fault(("reset-after-billing", "ok")),), latency=0.2)
    summary = await site.run("A fox")
    assert summary.exit_code == 0
    assert [lost.tokens for lost in summary.lost] == [PRICE]
    assert summary.books.billed == site.sandbox.request_log.billed_credits() == 2 * PRICE


async def test_a_charge_that_is_booked_after_the_run_is_found_by_the_next_one(site: Site) -> None:
    site.sandbox.behaviour = Behaviour(booking_delay=3600, faults=(Fault(("reset-after-billing", "ok")),))
    assert (await site.run("A fox")).lost == ()
    site.sandbox.behaviour = faults()
    assert await site.asks() == 0
    assert site.summary is not None
    assert [lost.tokens for lost in site.summary.lost] == [PRICE]
    assert await site.asks() == 0
    assert site.summary.lost == ()


def doubted(site: Site) -> bool:
    """Whether a request is waiting for its log to be read."""
    with LedgerReader(site.output / ".pipeline" / "ledger.db") as ledger:
        return any(attempt.state == "maybe" for attempt in ledger.ever_maybe_billed())


def endless(*kinds: str) -> Any:
    """An upstream without a log that cuts its first answers."""
    left = list(kinds)

    async def answer(request: web.Request) -> web.StreamResponse:
        if left:
            left.pop()
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"data": [{"url": f"http://{request.host}/picture"}]})

    return answer


async def test_without_a_log_what_may_have_been_billed_is_asked_for_again_within_the_lost_budget(site: Site) -> None:
    async with serving(endless("cut"), picture=picture) as base:
        summary = await site.run("A fox", endpoint=base)
    assert summary.exit_code == 0
    (named,) = summary.maybe_billed
    assert "no log can say whether it was billed" in (named.error or "")
    assert summary.books.unresolved == PRICE


@pytest.mark.parametrize("limits", [{"on_unknown_outcome": "hold"}, {"retry_paid_budget_usd": 0}], ids=str)
async def test_without_a_log_it_waits_for_a_person_where_the_job_says_so(site: Site, limits: dict[str, Any]) -> None:
    async with serving(endless("cut"), picture=picture) as base:
        summary = await site.run("A fox", endpoint=base, limits=limits)
        assert (summary.exit_code, dict(summary.failed)) == (1, {"maybe-billed": 1})
        assert (await site.run()).exit_code == 1
        assert (await site.run(selection=Selection(retry_failed=True))).exit_code == 0


async def test_a_log_that_cannot_be_read_leaves_the_doubt_to_the_next_run(site: Site) -> None:
    calls = []

    async def failing(request: web.Request) -> web.StreamResponse:
        calls.append(request.path)
        return web.Response(status=500)

    app = web.Application()
    app.router.add_get("/v2/logs", failing)
    app.router.add_post("/v1/images/generations", endless("cut"))
    runner = web.AppRunner(app, shutdown_timeout=0.01, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        summary = await site.run("A fox", endpoint=base, limits={"patience": 0})
    finally:
        await runner.cleanup()
    assert calls
    assert (summary.exit_code, dict(summary.failed)) == (1, {"unsettled": 1})
    assert len(summary.maybe_billed) == 1


async def test_another_endpoint_knows_nothing_of_what_was_sent_to_the_first(site: Site) -> None:
    async with serving(endless("cut"), picture=picture) as base:
        await site.run("A fox", endpoint=base, limits={"billing_lag": 3600}, stop_when=lambda: doubted(site))
    summary = await site.run("A fox", endpoint=site.sandbox.base, limits={"on_unknown_outcome": "hold"})
    assert dict(summary.failed) == {"maybe-billed": 1}
    assert site.posts == 0


@pytest.mark.parametrize("days", [1, -1])
async def test_a_clock_that_is_set_meanwhile_changes_no_verdict(
    site: Site, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    site.sandbox.behaviour = faults(("reset-after-billing", "ok"))

    def jumping() -> float:
        return time.time() + (86_400 * days if site.posts else 0)

    monkeypatch.setattr(assemble, "Account", partial(Account, clock=jumping))
    summary = await site.run("A fox")
    assert (summary.exit_code, len(summary.lost), summary.books.billed) == (0, 1, 2 * PRICE)


async def test_cuts_after_always_the_same_time_are_told_as_what_they_are(site: Site) -> None:
    site.policy = replace(QUICK, cut_after=0.0)
    site.sandbox.behaviour = faults(Fault("reset-after-billing", times=3))
    notes: list[str] = []
    await site.run("A fox", "A crow", "A hare", note=notes.append)
    assert sum("ends connections that wait so long" in note for note in notes) == 1


async def test_too_many_open_files_use_up_nobodys_attempts_and_say_nothing_about_the_provider(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = 12
    made = web_sockets._kept_alive

    def scarce(address: web_sockets.Address) -> socket.socket:
        nonlocal left
        left -= 1
        if left >= 0 and address[4][1] == int(site.sandbox.base.rpartition(":")[2]):
            raise OSError(errno.EMFILE, "Too many open files")
        return made(address)

    monkeypatch.setattr(web_sockets, "_kept_alive", scarce)
    notes: list[str] = []
    summary = await site.run("A fox", "A crow", limits={"attempts": 1, "concurrency": 2}, note=notes.append)
    assert (summary.exit_code, site.posts, summary.maybe_billed) == (0, 2, ())
    assert not any("provider" in note for note in notes)


async def test_too_many_open_files_for_longer_than_all_patience_is_local_trouble(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(address: web_sockets.Address) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(web_sockets, "_kept_alive", none_left)
    summary = await site.run("A fox", limits={"patience": 0.05})
    assert (summary.exit_code, site.posts) == (6, 0)
    assert "ulimit -n" in (summary.reason or "")
