from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from pipeline.limits import retry
from pipeline.limits.breaker import CircuitBreaker
from pipeline.limits.rate import RateLimiter
from pipeline.providers.aimlapi import account
from pipeline.run import assemble
from sandbox import Sandbox
from tests.run.site import Site, VirtualTime


@pytest.fixture(autouse=True)
def _short_backoffs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BACKOFF_BASE", 0.001)
    monkeypatch.setattr(retry, "TOKEN_EVERY", 0.001)
    monkeypatch.setattr(retry, "FRESH_PATIENCE", 0.02)
    monkeypatch.setattr(account, "CALLS_A_MINUTE", 60_000)


@pytest.fixture
def _short_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "CircuitBreaker", partial(CircuitBreaker, probe_every=(0.001, 0.002)))


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> VirtualTime:
    """Pauses that the API asks for pass at once, and are noted."""
    virtual = VirtualTime()
    monkeypatch.setattr(assemble, "RateLimiter", partial(RateLimiter, clock=virtual.clock, sleep=virtual.sleep))
    return virtual


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with Sandbox() as sandbox:
        yield Site(tmp_path, sandbox)
