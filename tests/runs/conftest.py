from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline import retry
from pipeline.sandbox import Sandbox
from tests.runs.site import Site


@pytest.fixture(autouse=True)
def _short_backoffs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BACKOFF_BASE", 0.001)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with Sandbox() as sandbox:
        yield Site(tmp_path, sandbox)
