"""What the bar of a real run says while it waits."""

from dataclasses import replace

import anyio
import pytest

from pipeline import run_async
from pipeline.listeners.progress import Progress
from sandbox import Behaviour, Fault
from tests.policies import QUICK
from tests.run.site import KEY, Site, faults


class Watching(Progress):
    """A display that writes down what the run says it waits for."""

    def __init__(self, total: int, told: list[str]) -> None:
        super().__init__(total, mode="quiet")
        self._told_of = told

    async def keep_fresh(self, every: float = 0.01) -> None:
        while True:
            if now := self.waiting():
                self._told_of.append(now.text)
            await anyio.sleep(every)


async def watched(site: Site, *prompts: str, **job: object) -> list[str]:
    """What a run says it waits for, in order, each once."""
    told: list[str] = []
    loaded = site.load(*prompts, **job)
    await run_async(
        loaded, environ={"AIML_API_KEY": KEY}, progress=lambda total: Watching(total, told), policy=site.policy
    )
    return list(dict.fromkeys(told))


async def test_waiting_for_the_vendors_log_is_said_with_the_time_left(site: Site) -> None:
    site.sandbox.behaviour = Behaviour(faults=(Fault("reset-after-billing", times=1),))
    told = await watched(site, "A fox", limits={"billing_lag": 0.2})
    assert told
    assert all(text.startswith("waiting for the vendor's log, 0:0") for text in told)


async def test_a_pause_that_the_api_asked_for_is_said(site: Site) -> None:
    site.policy = replace(QUICK, wait_shown=0.01)
    site.sandbox.behaviour = Behaviour(requests_per_minute=600, burst=1, retry_after="1")
    told = await watched(site, "A fox", "An owl")
    assert "the API asked for a pause, 0:01" in told


async def test_a_slow_rate_is_said(site: Site) -> None:
    site.policy = replace(QUICK, wait_shown=0.01)
    told = await watched(site, "A fox", "An owl", limits={"requests_per_minute": 150})
    assert told == ["next request in 0:00 (rate)"]


async def test_an_outage_is_said_with_the_time_until_the_run_gives_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.policy = replace(QUICK, probe_every=(0.05, 0.06))
    site.sandbox.behaviour = faults("503")
    told = await watched(site, *(f"Fox {n}" for n in range(8)), limits={"patience": 0.3})
    assert "provider unavailable, gives up in 0:00" in told


async def test_a_run_that_gets_on_says_nothing(site: Site) -> None:
    assert await watched(site, "A fox", "An owl") == []
