"""A URL that was just paid for and is refused is not dead: the picture may not be there yet."""

import os
import signal
from dataclasses import replace

import pytest

from pipeline import Record
from pipeline.limits import retry
from sandbox import Fault
from tests.policies import QUICK
from tests.run.site import Site, faults

FOXES = [{"id": f"fox-{n}", "prompt": f"Fox {n}"} for n in range(4)]


@pytest.fixture(autouse=True)
def _patient(site: Site) -> None:
    site.policy = replace(QUICK, fresh_patience=600.0)


@pytest.mark.parametrize("kind", ["cdn-403", "cdn-404", "cdn-410", "cdn-redirect-loop"])
async def test_a_picture_that_comes_late_is_fetched_in_the_same_run_and_paid_for_once(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults(Fault(kind, times=9))
    summary = await site.run("A fox")
    assert (summary.exit_code, summary.saved, site.posts) == (0, 1, 1)


async def test_pictures_that_are_not_there_yet_hold_up_no_other(site: Site) -> None:
    site.sandbox.behaviour = faults(*(Fault("cdn-404", match=f"Fox {n}", times=9) for n in range(3)))
    done: list[str] = []
    summary = await site.run(
        *FOXES, limits={"concurrency": 1, "downloads": 1}, on_record=lambda record: done.append(record.id)
    )
    assert (summary.exit_code, summary.saved, site.posts) == (0, 4, 4)
    assert done[0] == "fox-3"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_end_of_a_run_does_not_wait_for_a_picture_that_is_not_there(
    site: Site, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "waits_for_fresh", lambda _: iter([3600.0]))
    site.sandbox.behaviour = faults(Fault("cdn-404", match="Fox 0"))

    def stop(_: Record) -> None:
        os.kill(os.getpid(), number)

    summary = await site.run(FOXES[0], FOXES[1], on_record=lambda record: stop(record) if record.path else None)
    assert summary.exit_code == 128 + number
    assert dict(summary.failed) == {"download": 1}
    site.sandbox.behaviour = faults()
    assert await site.asks() == 0
    assert {record.status for record in site.records()} == {"saved"}


async def test_a_url_that_says_when_it_ends_is_not_waited_for_any_longer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "waits_for_fresh", lambda _: iter([0.0] * 1000))
    site.sandbox.behaviour = faults("expired-url", "cdn-403")
    summary = await site.run("A fox")
    assert dict(summary.failed) == {"lost": 1}
    assert "its URL was good until" in (site.record().error or "")
    assert site.sandbox.request_log.gets() <= QUICK.fetches_when_refused
