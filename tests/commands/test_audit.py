"""The ledger against the vendor's log, to the credit."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from pipeline import Audit, audit
from pipeline.errors import KeyRefused, ProviderUnavailable, UsageError
from pipeline.sandbox import Behaviour, Fault, Sandbox
from tests.runs.site import KEY, PRICE, Site, faults
from tests.runs.upstream import picture, saying, serving


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from pipeline import retry
    from pipeline.api import account

    monkeypatch.setattr(retry, "BACKOFF_BASE", 0.001)
    monkeypatch.setattr(account, "CALLS_A_MINUTE", 60_000)
    async with Sandbox() as sandbox:
        yield Site(tmp_path, sandbox)


async def audited(site: Site, **more: Any) -> Audit:
    job = site.load(**more)
    return await anyio.to_thread.run_sync(lambda: audit(job, {"AIML_API_KEY": KEY}))


def change(site: Site, statement: str) -> None:
    with closing(sqlite3.connect(site.output / ".pipeline/ledger.db")) as db:
        db.execute(statement)
        db.commit()


async def test_whatever_happened_the_books_balance_to_the_credit(site: Site) -> None:
    kinds = ("ok", "500", "empty", "reset-after-billing", "reset-before-billing", "cut", "html-502", "429", "short")
    site.sandbox.behaviour = Behaviour(faults=(Fault(kinds),))
    await site.run(*({"prompt": f"Fox {n}", "count": 2} for n in range(8)), limits={"budget_lost": 9})
    found = await audited(site)
    assert found.balanced
    assert found.differences == []
    assert found.books.billed == found.logged == site.sandbox.books.billed_credits()
    assert found.books.filtered > 0
    assert found.books.lost > 0
    assert "  balanced, to the credit" in list(found.lines())
    assert json.loads(json.dumps(found.as_dict()))["balanced"]


async def test_pictures_that_never_came_are_taken_out_of_what_was_delivered(site: Site) -> None:
    site.sandbox.behaviour = faults(Fault("cdn-404", match="Fox"), Fault("cdn-wrong-size", match="Owl"))
    await site.run("Fox", "Crow", "Owl")
    found = await audited(site)
    books = found.books
    assert (books.delivered, books.undelivered, books.lost, found.balanced) == (PRICE, PRICE, PRICE, True)


@pytest.mark.parametrize(
    ("statement", "what", "ledger", "log"),
    [
        ("UPDATE attempts SET tokens = 1", "another price than the ledger has", 1, PRICE),
        ("UPDATE attempts SET state = 'rejected'", "rejected by the ledger, and billed", 0, PRICE),
        (
            "UPDATE attempts SET id = replace(id, '.000001', '.000009')",
            "paid by the ledger, and not in the log",
            PRICE,
            0,
        ),
    ],
)
async def test_each_difference_is_listed_with_both_sums(
    site: Site, statement: str, what: str, ledger: int, log: int
) -> None:
    await site.run("A fox")
    change(site, statement)
    found = await audited(site)
    assert not found.balanced
    first = found.differences[0]
    assert (first.what, first.ledger, first.log) == (what, ledger, log)
    assert any(what in line for line in found.lines())


async def test_what_the_log_has_and_the_ledger_has_not_is_listed(site: Site) -> None:
    await site.run("A fox")
    change(site, "DELETE FROM attempts")
    change(
        site,
        "INSERT INTO attempts (id, run, key, item, model, indexes, state, created_at) "
        "SELECT id || '.x', id, 'k', 'i', 'm', '[0]', 'rejected', started_at FROM runs",
    )
    (difference,) = (await audited(site)).differences
    assert (difference.item, difference.log, difference.what) == (None, PRICE, "billed, and not in the ledger")


async def test_what_is_too_young_to_be_booked_is_no_difference(site: Site) -> None:
    site.sandbox.behaviour = Behaviour(booking_delay=3600)
    await site.run("A fox")
    found = await audited(site, limits={"settle": 600})
    assert (found.balanced, found.late, found.late_tokens, found.logged) == (True, 1, PRICE, 0)
    assert any("not booked by the vendor yet: 1 request" in line for line in found.lines())
    assert not (await audited(site, limits={"settle": 0})).balanced


async def test_what_is_unresolved_counts_as_far_as_the_log_knows_it(site: Site) -> None:
    site.sandbox.behaviour = faults("hang")
    await site.run("A fox", stop_when=lambda: site.posts)
    found = await audited(site)
    assert (found.books.unresolved, found.logged, found.balanced) == (PRICE, PRICE, True)


async def test_only_this_jobs_requests_are_looked_at(site: Site, tmp_path: Path) -> None:
    await site.run("A fox")
    other = tmp_path / "other"
    other.mkdir()
    await Site(other, site.sandbox).run("A crow")
    found = await audited(site)
    assert (found.balanced, found.logged) == (True, PRICE)


async def test_there_is_nothing_to_audit_before_the_first_run(site: Site) -> None:
    with pytest.raises(UsageError, match="nothing to audit"):
        await audited(site, prompts=["A fox"])


async def test_an_endpoint_without_a_log_cannot_be_audited(site: Site) -> None:
    async with serving(saying({"data": [{"url": "/picture"}]}), picture=picture) as base:
        await site.run("A fox", endpoint=base)
        with pytest.raises(UsageError, match="no log"):
            await audited(site)


async def test_a_refused_key_and_a_log_that_is_down_are_told_apart(site: Site) -> None:
    await site.run("A fox", endpoint=site.sandbox.base)
    port = int(site.sandbox.base.rpartition(":")[2])
    await site.sandbox.__aexit__(None, None, None)
    with pytest.raises(ProviderUnavailable, match="try again later"):
        await audited(site)
    async with Sandbox(port=port, key="another"):
        with pytest.raises(KeyRefused):
            await audited(site)
