from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline.limits import retry
from pipeline.providers.aimlapi import account
from sandbox import Sandbox
from tests.run.site import Site


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long between two attempts, or two calls of the log."""
    monkeypatch.setattr(retry, "BACKOFF_BASE", 0.001)
    monkeypatch.setattr(retry, "TOKEN_EVERY", 0.001)
    monkeypatch.setattr(retry, "FRESH_PATIENCE", 0.02)
    monkeypatch.setattr(account, "CALLS_A_MINUTE", 60_000)


@pytest.fixture
async def site(tmp_path: Path, _quick: None) -> AsyncIterator[Site]:
    async with Sandbox() as sandbox:
        yield Site(tmp_path, sandbox)
