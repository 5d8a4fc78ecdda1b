"""A run whose paid answers bring nothing that can be used stops itself, before the whole job is bought in vain."""

from typing import Any

import pytest

from sandbox import Behaviour, Fault
from tests.run.site import PRICE, Site, faults

MANY = [f"Fox {n}" for n in range(60)]


async def bought(site: Site, *kinds: str, **limits: Any) -> int:
    """Run a long job; the images that were billed."""
    site.sandbox.behaviour = Behaviour(faults=tuple(Fault(kind) for kind in kinds), latency=0.01)
    await site.run(*MANY, limits={"concurrency": 2, "downloads": 2, "attempts": 1, **limits})
    return site.sandbox.request_log.billed_credits() // PRICE


@pytest.mark.parametrize("kind", ["cdn-403", "cdn-404", "cdn-redirect-loop", "cdn-wrong-size", "cdn-svg", "cdn-503"])
async def test_pictures_that_can_not_be_had_or_used_stop_the_run_after_a_handful(site: Site, kind: str) -> None:
    images = await bought(site, kind)
    summary = site.summary
    assert summary is not None
    assert summary.exit_code == 8
    assert "8 paid answers in a row brought no usable picture" in (summary.reason or "")
    assert 8 <= images < len(MANY)


async def test_the_number_of_useless_answers_is_the_jobs_to_set(site: Site) -> None:
    assert await bought(site, "cdn-wrong-size", unusable_answers=len(MANY) + 1) == len(MANY)
    assert site.summary is not None
    assert site.summary.exit_code == 1


async def test_what_a_night_of_refusals_left_is_fetched_by_the_next_run_at_no_cost(site: Site) -> None:
    images = await bought(site, "cdn-403")
    site.sandbox.behaviour = faults()
    assert await site.asks() == len(MANY) - images
    assert {record.status for record in site.records()} == {"saved"}


async def test_one_usable_picture_begins_the_count_anew(site: Site) -> None:
    site.sandbox.behaviour = faults(*(Fault("cdn-404", match=f"Fox {n}") for n in (1, 2, 4, 5)))
    # One after the other, so that what becomes of each is known before the next.
    limits = {"concurrency": 1, "downloads": 1, "unusable_answers": 3, "requests_per_minute": 200}
    summary = await site.run(*(f"Fox {n}" for n in range(1, 7)), limits=limits)
    assert (summary.exit_code, dict(summary.failed), summary.saved) == (1, {"download": 4}, 2)


async def test_pictures_of_an_earlier_run_that_stay_away_stop_nothing(site: Site) -> None:
    site.sandbox.behaviour = faults("cdn-404")
    foxes = MANY[:4]
    await site.run(*foxes, limits={"unusable_answers": 50})
    site.sandbox.behaviour = faults(*(Fault("cdn-404", match=fox) for fox in foxes))
    summary = await site.run(*foxes, "A crow", limits={"unusable_answers": 2})
    assert (summary.exit_code, dict(summary.failed), summary.saved) == (1, {"download": 4}, 1)
