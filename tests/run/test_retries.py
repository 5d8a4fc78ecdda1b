"""What is tried again, how often, and what it costs."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from sandbox import Behaviour, Fault, Sandbox
from tests.run.site import KEY, PRICE, Site, VirtualTime, faults


@pytest.mark.parametrize("kind", ["500", "500-text-status", "502", "503", "504"])
async def test_a_failure_in_the_vendors_form_is_tried_again_and_billed_once(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults((kind, kind, "ok"))
    summary = await site.run("A fox")
    assert (summary.exit_code, site.posts, site.sandbox.request_log.billed_credits()) == (0, 3, PRICE)
    assert summary.maybe_billed == ()
    assert site.record().attempts == 3


async def test_a_provider_that_fails_every_attempt_is_asked_again_by_the_next_run(site: Site) -> None:
    site.sandbox.behaviour = faults("503")
    summary = await site.run("A fox", limits={"attempts": 3})
    assert (summary.exit_code, dict(summary.failed), site.posts) == (1, {"unavailable": 1}, 3)
    site.sandbox.behaviour = faults()
    assert await site.asks() == 1
    assert site.record().status == "saved"


async def test_what_is_refused_before_it_is_sent_costs_nothing_and_is_asked_again(site: Site) -> None:
    async with Sandbox() as gone:
        base = gone.base
    summary = await site.run("A fox", endpoint=base, limits={"attempts": 2})
    assert (summary.exit_code, dict(summary.failed), summary.requests) == (1, {"unavailable": 1}, 0)
    assert summary.maybe_billed == ()
    assert await site.asks(endpoint=site.sandbox.base) == 1
    assert site.record().status == "saved"


@pytest.mark.parametrize("kind", ["empty", "null"])
async def test_an_answer_without_a_picture_is_tried_once_more(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults((kind, "ok"))
    summary = await site.run("A fox")
    assert (summary.exit_code, site.posts) == (0, 2)
    assert site.record().tokens_used == summary.tokens_used == 2 * PRICE


@pytest.mark.parametrize("kind", ["empty", "null"])
async def test_two_answers_without_a_picture_are_filtered(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults(kind)
    summary = await site.run("A fox")
    assert (summary.exit_code, dict(summary.failed), site.posts) == (1, {"filtered": 1}, 2)
    assert site.record().tokens_used == 2 * PRICE
    assert await site.asks() == 0


@pytest.mark.parametrize("kind", ["400", "404", "409", "413", "422", "451"])
async def test_a_refused_request_fails_its_item_at_once_and_the_others_go_on(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults(Fault(kind, match="crow", message="no crows today"))
    summary = await site.run("A crow", "A fox")
    assert (summary.exit_code, dict(summary.failed), summary.saved, site.posts) == (1, {"rejected": 1}, 1, 2)
    crow, fox = site.records()
    assert (crow.status, crow.cause, crow.error) == ("failed", "rejected", f"{kind}: no crows today")
    assert fox.status == "saved"
    assert await site.asks() == 0


async def test_a_moderated_prompt_is_told_apart(site: Site) -> None:
    site.sandbox.behaviour = faults("moderated")
    summary = await site.run("A fox")
    assert (dict(summary.failed), site.posts) == ({"moderated": 1}, 1)
    assert "moderation" in (site.record().error or "")


@pytest.mark.parametrize("kind", ["401", "402", "403"])
async def test_a_refused_key_lets_what_is_in_flight_finish_and_sends_nothing_more(site: Site, kind: str) -> None:
    site.sandbox.behaviour = Behaviour(latency=0.02, faults=(Fault((kind, "ok")),))
    prompts = [f"Fox {n}" for n in range(12)]
    summary = await site.run(*prompts, limits={"concurrency": 3})
    assert summary.exit_code == 3
    assert kind in (summary.reason or "")
    assert site.posts == 3
    assert (summary.saved, summary.pending) == (2, 10)
    assert site.sandbox.request_log.billed_credits() == summary.tokens_used == 2 * PRICE
    site.sandbox.behaviour = faults()
    assert await site.asks() == 10


async def test_a_wrong_key_stops_the_run_before_anything_is_asked_for(site: Site) -> None:
    async with Sandbox(key="another") as strict:
        summary = await site.run("A fox", "A crow", endpoint=strict.base, limits={"concurrency": 1})
        assert (summary.exit_code, strict.request_log.count()) == (3, 0)


@pytest.mark.parametrize("kind", ["301", "307", "308"])
async def test_a_redirect_is_a_wrong_endpoint_and_no_post_follows_it(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults(kind)
    summary = await site.run("A fox", "A crow", limits={"concurrency": 1})
    assert (summary.exit_code, site.posts) == (2, 1)
    assert "correct the endpoint" in (summary.reason or "")


@pytest.mark.parametrize(
    ("said", "paused"),
    [("7", 7.0), ("1800", 1800.0), (None, 1.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 1.0), ("0", 1.0), ("soon", 1.0)],
)
async def test_a_429_pauses_for_what_it_says_and_is_no_attempt(
    site: Site, time: VirtualTime, said: str | None, paused: float
) -> None:
    site.sandbox.behaviour = faults(Fault("429", times=1, retry_after=said))
    summary = await site.run("A fox", limits={"attempts": 1})
    assert (summary.exit_code, site.posts, site.sandbox.request_log.billed_credits()) == (0, 2, PRICE)
    assert sum(time.slept) == pytest.approx(paused, abs=0.01)


@pytest.mark.parametrize("kind", ["429", "503"])
@pytest.mark.parametrize("said", ["86400", "2000000"])
async def test_a_provider_that_asks_for_more_than_all_patience_ends_the_run_at_once(
    site: Site, kind: str, said: str
) -> None:
    site.sandbox.behaviour = faults(Fault(kind, retry_after=said))
    summary = await site.run("A fox", "A crow", "A hare", limits={"concurrency": 1})
    assert (summary.exit_code, site.posts, summary.pending) == (5, 1, 3)
    assert "come back in 24 h 0 min" in (summary.reason or "")


async def test_a_429_that_names_a_date_pauses_until_then_by_the_servers_own_clock(
    site: Site, time: VirtualTime
) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    site.sandbox.behaviour = faults(Fault("429", times=1, retry_after=until))
    assert (await site.run("A fox")).exit_code == 0
    assert sum(time.slept) == pytest.approx(90, abs=2)


async def test_many_429s_use_up_nobodys_attempts(site: Site, time: VirtualTime) -> None:
    site.sandbox.behaviour = faults(Fault("429", times=40, retry_after="0"))
    summary = await site.run(*(f"Fox {n}" for n in range(10)), limits={"attempts": 1})
    assert (summary.exit_code, summary.saved, site.posts) == (0, 10, 50)


async def test_a_server_that_bears_two_at_once_is_given_all_the_items(site: Site, time: VirtualTime) -> None:
    site.sandbox.behaviour = Behaviour(latency=0.005, concurrency=2, retry_after="0")
    summary = await site.run(*(f"Fox {n}" for n in range(10)), limits={"attempts": 1})
    assert (summary.exit_code, summary.saved) == (0, 10)
    assert site.sandbox.request_log.billed_credits() == 10 * PRICE


async def test_nothing_but_429_ends_the_run_as_unavailable_once_patience_is_over(site: Site, time: VirtualTime) -> None:
    site.sandbox.behaviour = faults(Fault("429", retry_after="0"))
    summary = await site.run("A fox", "A crow", limits={"patience": 0.02})
    assert (summary.exit_code, summary.pending) == (5, 2)
    assert "429" in (summary.reason or "")


async def test_every_attempt_carries_a_label_of_its_own(site: Site) -> None:
    site.sandbox.behaviour = faults(("500", "ok"))
    await site.run("A fox", "A crow")
    labels = [row.client_request_id for row in site.sandbox.request_log.requests()]
    assert len(set(labels)) == 3
    assert None not in labels
    assert {record.client_request_id for record in site.records()} < set(labels)


async def test_the_key_goes_out_as_a_bearer_token(site: Site) -> None:
    async with Sandbox(key=KEY) as strict:
        assert (await site.run("A fox", endpoint=strict.base)).exit_code == 0
