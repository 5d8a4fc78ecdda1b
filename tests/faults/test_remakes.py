"""What a remake has paid for is kept like anything else, however the run is cut off before its download."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from pipeline.ledger import LedgerReader
from tests.faults.program import attempts, command, environment
from tests.run.site import PRICE, Site, faults

FOXES = [{"id": f"fox-{n}", "prompt": f"Fox {n}"} for n in range(6)]


async def cut_off(site: Site, option: str, signals: list[signal.Signals], paid: int) -> None:
    """Run as a process of its own, and end it once so many answers are paid for and no picture has come."""
    process = await asyncio.create_subprocess_exec(
        *command("run", site.folder / "site.yaml", option),
        env=environment(),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(50):
        while len(attempts(site.output, "paid")) < paid:
            await asyncio.sleep(0.02)
        for number in signals:
            process.send_signal(number)
            await asyncio.sleep(0.05)
        await process.wait()


def undelivered(output: Path) -> int:
    with LedgerReader(output / ".pipeline" / "ledger.db") as ledger:
        return ledger.books().undelivered


@pytest.mark.parametrize(
    "signals",
    [[signal.SIGKILL], [signal.SIGTERM, signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]],
    ids=lambda signals: "+".join(number.name for number in signals),
)
async def test_a_forced_remake_that_was_cut_off_is_finished_by_a_plain_run_at_no_cost(
    site: Site, signals: list[signal.Signals]
) -> None:
    await site.run(*FOXES)
    before = site.pictures()
    site.sandbox.behaviour = faults("cdn-hang")
    await cut_off(site, "--force", signals, paid=2 * len(FOXES))
    assert site.pictures() == before, "an old picture went before its successor was there"
    assert undelivered(site.output) == len(FOXES) * PRICE
    site.sandbox.behaviour = faults()
    assert await site.asks() == 0
    assert site.summary is not None
    assert (site.summary.exit_code, site.summary.saved) == (0, len(FOXES))
    after = site.pictures()
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    assert undelivered(site.output) == 0
    assert await site.asks() == 0


async def test_a_retry_of_failures_that_was_cut_off_is_finished_by_a_plain_run_at_no_cost(site: Site) -> None:
    site.sandbox.behaviour = faults("moderated")
    await site.run(*FOXES)
    assert {record.cause for record in site.records()} == {"moderated"}
    site.sandbox.behaviour = faults("cdn-hang")
    await cut_off(site, "--retry-failed", [signal.SIGKILL], paid=len(FOXES))
    site.sandbox.behaviour = faults()
    assert await site.asks() == 0
    assert {record.status for record in site.records()} == {"saved"}


async def test_an_old_picture_stays_whatever_becomes_of_its_remake_and_status_says_so(site: Site) -> None:
    await site.run(*FOXES)
    before = site.pictures()
    site.sandbox.behaviour = faults("cdn-503")
    process = await asyncio.create_subprocess_exec(
        *command("run", site.folder / "site.yaml", "--force", "--json"),
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await process.communicate()
    summary = json.loads(out)
    assert (process.returncode, summary["saved"], summary["not_remade"]) == (1, len(FOXES), len(FOXES))
    assert site.pictures() == before
    assert summary["books"]["undelivered"] == len(FOXES) * PRICE
