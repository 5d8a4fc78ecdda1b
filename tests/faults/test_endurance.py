"""Night after night in one process, with everything going wrong now and then: nothing may pile up.

`make soak HOURS=24` does it for a day.
"""

import asyncio
import gc
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import Behaviour, Fault, Sandbox
from tests.faults.scale import HOURS, count
from tests.run.site import Site

NIGHTS = count(6, 50)
WARM_UP = 3
GROWTH = 24 * 1024 * 1024
"""Bytes by which the process may grow after its first nights; what leaks grows without an end."""

TROUBLE = ("500", "503", "html-502", "reset-before-billing", "reset-after-billing", "cut", "cdn-reset", "cdn-503")


def nights() -> Iterator[int]:
    """So many nights, or as many as there are in `HOURS`."""
    until = time.monotonic() + HOURS * 3600
    number = 0
    while number < NIGHTS or time.monotonic() < until:
        yield number
        number += 1


def resident() -> int:
    """Bytes of memory that the process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.timeout(count(120, 3600) + HOURS * 3600)
async def test_memory_files_and_tasks_do_not_grow_from_night_to_night(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    sizes: list[int] = []
    files: set[int] = set()
    for number in nights():
        await night(tmp_path / str(number), seed + number)
        gc.collect()
        sizes.append(resident())
        files.add(sum(1 for _ in Path("/proc/self/fd").iterdir()))
        assert len(asyncio.all_tasks()) == 1, "something still runs"
    assert len(files) == 1, f"files stay open: {files}"
    assert max(sizes) - max(sizes[:WARM_UP]) < GROWTH, sizes


async def night(folder: Path, seed: int) -> None:
    """A run of forty prompts at 32 at once, with a fault in every third request; then one without."""
    folder.mkdir()
    trouble = tuple(Fault(kind, probability=0.05) for kind in TROUBLE)
    async with Sandbox(behaviour=Behaviour(faults=trouble, seed=seed)) as sandbox:
        site = Site(folder, sandbox)
        prompts = [f"Fox {number}" for number in range(40)]
        await site.run(*prompts, limits={"concurrency": 32, "downloads": 32})
        sandbox.behaviour = Behaviour()
        summary = await site.run(limits={"retry_paid_budget_usd": 1000})
        assert summary.saved + summary.failed.get("lost", 0) == 40
        assert sandbox.request_log.billed_credits() == site.billed()
