"""Charges for a job's images that its ledger does not know are named before anything is bought."""

import shutil
from dataclasses import replace

import pytest

from pipeline import Selection
from tests.policies import QUICK
from tests.run.ledgers import change
from tests.run.site import PRICE, Site, faults
from tests.run.vendor import Vendor, moved, selling


async def test_when_an_older_backup_was_brought_back_its_lost_charges_are_named_before_anything_is_bought(
    site: Site,
) -> None:
    await site.run("A fox")
    backup = site.folder / "backup"
    shutil.copytree(site.output, backup)
    assert await site.asks("A fox", "A crow", "A hare") == 2
    first, lost = (row.client_request_id for row in site.sandbox.request_log.requests()[:2])
    shutil.rmtree(site.output)
    shutil.copytree(backup, site.output)
    notes: list[tuple[str, int]] = []
    before = site.posts
    summary = await site.run(note=lambda text: notes.append((text, site.posts)))
    assert summary.exit_code == 0
    assert summary.unrecorded is not None
    assert (summary.unrecorded.requests, summary.unrecorded.tokens) == (2, 2 * PRICE)
    assert summary.unrecorded.runs == (str(lost).partition(".")[0],)
    assert str(first).partition(".")[0] not in summary.unrecorded.runs
    assert [posts for text, posts in notes if "does not know" in text] == [before]
    assert any("2 charges, 252,000 tokens ($0.126)" in line for line in summary.lines())
    assert any("2 charges, 252,000 tokens ($0.126)" in line for line in summary.trouble()), "a quiet run names them too"


async def test_when_the_ledger_was_deleted_the_charges_of_the_last_weeks_are_named(site: Site) -> None:
    await site.run("A fox", "A crow")
    shutil.rmtree(site.output)
    summary = await site.run()
    assert summary.unrecorded is not None
    assert summary.unrecorded.requests == 2


async def test_the_charges_of_other_jobs_are_not_named(site: Site) -> None:
    await site.run("A fox")
    shutil.rmtree(site.output)
    assert (await site.run("A crow")).unrecorded is None


@pytest.mark.parametrize("kind", ["reset-before-billing", "500"])
async def test_what_was_not_billed_is_no_charge(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults(kind)
    await site.run("A fox", limits={"attempts": 1})
    shutil.rmtree(site.output)
    site.sandbox.behaviour = faults()
    assert (await site.run()).unrecorded is None


async def test_only_so_many_rows_are_read_before_a_run_buys_anything(site: Site) -> None:
    site.policy = replace(QUICK, log_rows_before_buying=100)
    vendor = Vendor()
    async with selling(vendor):
        for _ in range(201):
            vendor.charge("another")
        notes: list[str] = []
        summary = await site.run("A fox", endpoint=vendor.base, note=notes.append)
        assert summary.exit_code == 0
        assert summary.unrecorded is not None
        assert (summary.unrecorded.requests, summary.unrecorded.complete) == (0, False)
        assert any("only its newest rows were read" in note for note in notes)
        assert summary.trouble() == [], "a long log is nothing that has gone wrong"


async def test_a_run_with_nothing_to_buy_does_not_ask_for_charges(site: Site) -> None:
    async with selling(Vendor()) as vendor:
        await site.run("A fox", endpoint=vendor.base)
        calls = vendor.calls
        assert calls
        await site.run(selection=Selection(only=("a-fox*",)))
        assert vendor.calls == calls


@pytest.mark.parametrize("days", [3, 89, 91, 400, 700])
async def test_charges_are_looked_for_back_to_the_newest_attempt_however_old_that_is(site: Site, days: int) -> None:
    async with selling(Vendor()) as vendor:
        await site.run("A fox", endpoint=vendor.base)
        back = f"strftime('%Y-%m-%dT%H:%M:%fZ', created_at, '-{days} days')"
        change(site, f"UPDATE attempts SET created_at = {back}")
        stranger = f"20200101T000000-abcdef.{vendor.posts[0].split('.')[1]}.000001"
        vendor.charge(stranger, created=moved(vendor.rows[0]["created"], (1 - days) * 86_400))
        vendor.rows[0]["created"] = moved(vendor.rows[0]["created"], -days * 86_400)
        summary = await site.run("A fox", "A crow")
        assert summary.unrecorded is not None
        assert (summary.unrecorded.runs, summary.unrecorded.complete) == (("20200101T000000-abcdef",), True)


async def test_a_ledger_that_is_older_than_any_log_is_not_called_complete(site: Site) -> None:
    async with selling(Vendor()) as vendor:
        await site.run("A fox", endpoint=vendor.base)
        change(site, "UPDATE attempts SET created_at = '1999-01-01T00:00:00.000Z'")
        summary = await site.run("A fox", "A crow")
        assert summary.unrecorded is not None
        assert (summary.unrecorded.requests, summary.unrecorded.complete) == (0, False)
