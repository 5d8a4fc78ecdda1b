"""The ledger against the vendor's log, to the credit."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from pipeline import Audit, audit
from pipeline.errors import KeyRefused, ProviderUnavailable, UsageError
from pipeline.inspection.standing import status
from sandbox import Behaviour, Fault, Sandbox
from tests.policies import QUICK
from tests.run.ledgers import change
from tests.run.site import KEY, PRICE, Site, faults
from tests.run.upstream import picture, saying, serving
from tests.run.vendor import Vendor, selling


@pytest.fixture
async def site(tmp_path: Path) -> Any:
    async with Sandbox() as sandbox:
        yield Site(tmp_path, sandbox)


async def audited(site: Site, **more: Any) -> Audit:
    job = site.load(**more)
    return await anyio.to_thread.run_sync(lambda: audit(job, {"AIML_API_KEY": KEY}, site.policy))


async def test_whatever_happened_the_books_balance_to_the_credit(site: Site) -> None:
    kinds = ("ok", "500", "empty", "reset-after-billing", "reset-before-billing", "cut", "html-502", "429", "short")
    site.sandbox.behaviour = Behaviour(faults=(Fault(kinds),))
    await site.run(*({"prompt": f"Fox {n}", "count": 2} for n in range(8)), limits={"retry_paid_budget_usd": 9})
    found = await audited(site)
    assert found.balanced
    assert found.differences == []
    assert found.books.billed == found.logged == site.sandbox.request_log.billed_credits()
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
            "UPDATE attempts SET id = replace(id, '.000001', '.000009'), inference_id = 'another'",
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
    found = await audited(site, limits={"billing_lag": 600})
    assert (found.balanced, found.late, found.late_tokens, found.logged) == (True, 1, PRICE, 0)
    assert any("not booked by the vendor yet: 1 request" in line for line in found.lines())
    assert "  balanced, to the credit" not in list(found.lines())
    assert not (await audited(site, limits={"billing_lag": 0})).balanced


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


async def test_a_kill_between_the_receipt_and_its_reading_unbalances_nothing(site: Site) -> None:
    await site.run("A fox", "A crow")
    change(site, "UPDATE attempts SET delivered = NULL, tokens = NULL WHERE id LIKE '%.000001'")
    found = await audited(site)
    assert (found.balanced, found.differences) == (True, [])
    assert (found.books.delivered, found.books.undelivered, found.books.unresolved) == (PRICE, PRICE, 0)


@pytest.mark.parametrize("price", [None, 1, 10 * PRICE], ids=str)
async def test_what_an_unread_answer_cost_is_what_the_log_has_for_it(site: Site, price: int | None) -> None:
    await site.run("A fox", "A crow")
    change(
        site,
        "UPDATE attempts SET delivered = NULL, tokens = NULL, price = " + ("NULL" if price is None else str(price)),
    )
    found = await audited(site)
    assert (found.balanced, found.books.undelivered, found.differences) == (True, 2 * PRICE, [])


async def test_a_receipt_that_was_never_read_and_is_not_in_the_log_is_a_difference(site: Site) -> None:
    await site.run("A fox")
    change(site, "UPDATE attempts SET delivered = NULL, id = 'a.b.c', inference_id = NULL")
    site.sandbox.request_log._db.execute("DELETE FROM requests")
    found = await audited(site)
    assert not found.balanced
    assert [one.what for one in found.differences] == ["paid by the ledger, and not in the log"]


async def test_pictures_that_were_paid_for_and_never_fetched_are_not_delivered(site: Site) -> None:
    async with selling(Vendor()) as vendor:
        await site.run("A fox", "A crow", endpoint=vendor.base)
        change(site, "DELETE FROM takes WHERE attempt LIKE '%.000002'")
        found = await audited(site)
    assert (found.balanced, found.books.delivered, found.books.undelivered) == (True, PRICE, PRICE)
    told = "\n".join(found.lines())
    assert "126,000 delivered + 126,000 undelivered" in told
    assert "paid for and not downloaded yet: 126,000 tokens ($0.063); the next run fetches it" in told
    said = status(site.output)
    assert said.books == found.books
    assert (
        "  paid for and not downloaded yet: 126,000 tokens ($0.063); the next run fetches it, at no cost"
        in said.lines()
    )


async def test_what_an_asynchronous_api_has_accepted_is_named_and_unresolved(site: Site) -> None:
    await site.run("A fox", "A crow")
    change(site, "UPDATE attempts SET state = 'accepted', ticket = '{}', tokens = NULL WHERE id LIKE '%.000002'")
    found = await audited(site)
    assert (found.balanced, found.books.unresolved, len(found.accepted)) == (True, PRICE, 1)
    assert any("an asynchronous API has accepted it" in line for line in found.lines())
    assert any("accepted by an asynchronous API" in line for line in status(site.output).lines())


async def test_a_request_without_an_outcome_is_named_by_status(site: Site) -> None:
    await site.run("A fox", "A crow")
    change(site, "UPDATE attempts SET state = 'intent' WHERE id LIKE '%.000002'")
    assert len(status(site.output).unanswered) == 1
    assert any("without an answer yet" in line for line in status(site.output).lines())


async def test_a_charge_whose_label_the_log_lacks_is_found_by_the_vendors_id(site: Site) -> None:
    await site.run("A fox")
    site.sandbox.request_log._db.execute("UPDATE requests SET client_request_id = NULL")
    assert (await audited(site)).balanced


async def test_labels_in_upper_case_are_ours(site: Site) -> None:
    await site.run("A fox")
    site.sandbox.request_log._db.execute(
        "UPDATE requests SET client_request_id = upper(client_request_id), inference_id = 'x'"
    )
    assert (await audited(site)).balanced


@pytest.mark.parametrize(
    "strange", [{"status": "pending"}, {"cost": None}, {"cost": 126_000}, {"status": "failed"}], ids=str
)
async def test_a_row_that_proves_nothing_is_a_difference(site: Site, strange: dict[str, Any]) -> None:
    vendor = Vendor()
    async with selling(vendor):
        await site.run("A fox", endpoint=vendor.base)
        vendor.log = lambda rows: [row | strange for row in rows]
        found = await audited(site)
    assert not found.balanced
    assert [one.what for one in found.differences] == [
        "its row in the log says neither that it was billed nor that it was not"
    ]


async def test_charges_by_runs_that_the_ledger_does_not_know_are_counted(site: Site, tmp_path: Path) -> None:
    await site.run("A fox")
    backup = tmp_path / "backup"
    shutil.copytree(site.output, backup)
    await site.run("A fox", "A crow", "A hare")
    shutil.rmtree(site.output)
    shutil.copytree(backup, site.output)
    found = await audited(site)
    assert not found.balanced
    assert [(one.log, one.ledger) for one in found.differences] == [(PRICE, 0)] * 2
    assert found.unrecorded is not None
    assert (found.unrecorded.requests, found.unrecorded.tokens) == (2, 2 * PRICE)
    assert found.logged == 3 * PRICE
    assert any("bring" in line.lower() and "ledger.db" in line for line in found.lines())


@pytest.mark.parametrize("left", ["nothing", "a younger ledger"])
async def test_what_was_bought_before_the_ledger_was_deleted_is_counted(site: Site, left: str) -> None:
    await site.run("A fox", "A crow")
    shutil.rmtree(site.output)
    if left == "a younger ledger":
        await site.run()
    found = await audited(site)
    assert not found.balanced
    assert len(found.differences) == 2
    assert json.loads(json.dumps(found.as_dict()))["unrecorded"]["requests"] == 2


async def test_what_went_to_other_endpoints_is_said_not_to_be_compared(site: Site) -> None:
    async with serving(saying({"data": [{"url": "/picture"}]}), picture=picture) as base:
        await site.run("A fox", endpoint=base)
    await site.run("A crow", endpoint=site.sandbox.base)
    found = await audited(site)
    assert (found.balanced, found.elsewhere) == (True, 1)
    assert any("not compared: 1 request to other endpoints" in line for line in found.lines())


async def test_a_log_without_an_end_is_never_called_balanced(site: Site) -> None:
    site.policy = replace(QUICK, log_rows=100)
    vendor = Vendor()
    async with selling(vendor):
        await site.run("A fox", endpoint=vendor.base)
        for _ in range(300):
            vendor.charge("another")
        with pytest.raises(UsageError, match="more than 100 rows"):
            await audited(site)


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
