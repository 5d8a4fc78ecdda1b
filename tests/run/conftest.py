from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from pipeline.limits.rate import RateLimiter
from pipeline.run import assemble
from sandbox import Sandbox
from tests.policies import PROBING
from tests.run.site import Site, VirtualTime


@pytest.fixture
def _short_probes(site: Site) -> None:
    site.policy = PROBING


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
