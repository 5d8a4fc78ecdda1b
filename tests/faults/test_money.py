"""The cap that is never exceeded, not by one image; and the pictures that are never asked for twice."""

import random
from pathlib import Path

import pytest

from pipeline import Record, Summary
from pipeline.ledger import LedgerReader
from sandbox import Behaviour, Fault, Sandbox
from tests.faults.scale import count
from tests.run.site import PRICE, Site, faults

TRIALS = count(10, 100)
"""In each of two groups."""

TROUBLE = ("500", "429", "html-502", "reset-before-billing", "reset-after-billing", "cut", "empty", "short")


@pytest.mark.timeout(count(120, 1800))
@pytest.mark.parametrize("group", range(2))
async def test_a_budget_is_never_exceeded_whatever_happens(tmp_path: Path, group: int) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}, group {group}")
    chance = random.Random(seed)
    for number in range(TRIALS):
        trouble = tuple(Fault(kind, probability=0.05) for kind in TROUBLE)
        behaviour = Behaviour(latency_jitter=0.02, faults=trouble, seed=chance.randrange(1 << 30))
        async with Sandbox(behaviour=behaviour) as sandbox:
            folder = tmp_path / str(number)
            folder.mkdir()
            site = Site(folder, sandbox)
            cap = chance.randrange(1, 40) * PRICE + chance.randrange(PRICE)
            limits = {"concurrency": 32, "budget_tokens": cap, "budget_window": "1d", "retry_paid_budget_usd": 100}
            prompts = [{"prompt": f"Fox {item}", "count": chance.randint(1, 4)} for item in range(16)]
            # Killed at some moment, then started again, with what was spent before in the window.
            await site.run(*prompts, limits=limits, stop_after=chance.uniform(0.02, 0.3))
            assert sandbox.request_log.billed_credits() <= cap
            summary = await site.run()
            assert summary.exit_code in (0, 1, 7)
            assert sandbox.request_log.billed_credits() <= cap, "the budget was exceeded"
            with LedgerReader(site.output / ".pipeline" / "ledger.db") as ledger:
                books = ledger.books()
            assert books.billed - books.unresolved <= sandbox.request_log.billed_credits() <= books.billed <= cap


@pytest.mark.timeout(count(180, 1800))
async def test_of_a_cdn_that_fails_three_times_in_ten_every_picture_is_had_and_none_is_asked_for_again(
    site: Site,
) -> None:
    kinds = ("cdn-500", "cdn-503", "cdn-reset", "cdn-truncated", "cdn-404", "cdn-html")
    site.sandbox.behaviour = Behaviour(faults=tuple(Fault(kind, probability=0.058) for kind in kinds))
    images = 1_000
    job = [{"prompt": f"Fox {number}", "count": 4} for number in range(images // 4)]
    summary: Summary = await site.run(*job, limits={"downloads": 32})
    while summary.failed.get("download"):
        summary = await site.run()
    assert (summary.saved, site.posts) == (images, images // 4)
    assert summary.exit_code == 0


async def test_a_key_that_is_revoked_stops_all_workers_at_its_first_refusal(site: Site) -> None:
    site.sandbox.behaviour = Behaviour(latency_jitter=0.05)
    saved = 0

    def revoke(record: Record) -> None:
        nonlocal saved
        saved += record.status == "saved"
        if saved == 60:
            site.sandbox.behaviour = faults("401")

    summary = await site.run(*(f"Fox {n}" for n in range(200)), limits={"concurrency": 32}, on_record=revoke)
    refused = site.sandbox.request_log.count(http_status=401)
    assert summary.exit_code == 3
    assert 1 <= refused <= 32, "requests went on with a key that had been refused"
    assert summary.books.unresolved == 0
    site.sandbox.behaviour = Behaviour()
    assert (await site.run()).exit_code == 0
    assert site.sandbox.request_log.billed_credits() == 200 * PRICE
