"""The vendor's log is believed as far as it can be: what it does not prove is named, and looked at again."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from pipeline import Summary
from pipeline.inspection.standing import status
from tests.run.ledgers import change, ledger_of
from tests.run.site import PRICE, Site, faults
from tests.run.vendor import Row, Vendor, moment, moved, selling


def the_first(change: dict[str, Any]) -> Callable[[list[Row]], list[Row]]:
    """A log whose oldest row is changed."""
    return lambda rows: [row | change if number == 0 else row for number, row in enumerate(rows)]


def named(found: Summary) -> list[str]:
    return [one.client_request_id for one in found.maybe_billed]


STRANGE = [
    *({"cost": cost} for cost in (None, {}, 126_000, "126000", {"credits": None}, {"credits": -5}, {"credits": "n/a"})),
    *({"status": word, "cost": {"credits": 0}} for word in ("succeeded", "pending", "queued", "", None, 3)),
    {"status": "pending"},
    {"status": "failed"},
    {"status": "failed", "cost": 0},
]


@pytest.mark.parametrize("strange", STRANGE, ids=str)
async def test_a_row_that_proves_nothing_is_never_taken_for_not_billed(site: Site, strange: dict[str, Any]) -> None:
    async with selling(Vendor(the_first(strange), cut=frozenset({1}))) as vendor:
        summary = await site.run("A fox", endpoint=vendor.base)
        assert (summary.exit_code, named(summary)) == (0, vendor.posts[:1])
        assert (summary.books.delivered, summary.books.unresolved) == (PRICE, PRICE)
        assert [one.client_request_id for one in status(site.output).maybe_billed] == vendor.posts[:1]
        vendor.log = lambda rows: rows
        later = await site.run()
        assert [one.tokens for one in later.lost] == [PRICE]
        assert len(vendor.posts) == 2
        assert status(site.output).maybe_billed == ()
        assert later.books.billed == 0


async def test_a_row_that_proves_nothing_is_held_where_the_job_says_so_and_asked_for_once_it_is_proven(
    site: Site,
) -> None:
    async with selling(Vendor(the_first({"status": "pending"}), cut=frozenset({1}))) as vendor:
        summary = await site.run("A fox", endpoint=vendor.base, limits={"on_unknown_outcome": "hold"})
        assert (dict(summary.failed), len(vendor.posts)) == ({"maybe-billed": 1}, 1)
        vendor.log = the_first({"status": "failed", "cost": None})
        assert (await site.run()).exit_code == 0
        assert len(vendor.posts) == 2


async def test_what_was_held_and_is_proven_to_be_billed_stays_given_up_as_lost(site: Site) -> None:
    async with selling(Vendor(the_first({"status": "pending"}), cut=frozenset({1}))) as vendor:
        await site.run("A fox", endpoint=vendor.base, limits={"on_unknown_outcome": "hold"})
        vendor.log = lambda rows: rows
        summary = await site.run()
        assert (dict(summary.failed), len(summary.lost)) == ({"lost": 1}, 1)
        await site.run()
        assert len(vendor.posts) == 1


@pytest.mark.parametrize(
    "log", [lambda rows: [], lambda rows: rows[2:3], lambda rows: [r for r in rows if r["status"] != "succeeded"]]
)
async def test_a_log_that_lacks_what_we_hold_receipts_for_proves_nothing(site: Site, log: Any) -> None:
    async with selling(Vendor(log, cut=frozenset({3}))) as vendor:
        prompts = [f"Fox {n}" for n in range(6)]
        summary = await site.run(*prompts, endpoint=vendor.base, limits={"concurrency": 1})
        billed_and_shown = log(vendor.rows)
        assert summary.exit_code == 0
        assert len(named(summary)) + len(summary.lost) == 1
        if not billed_and_shown:
            assert "does not prove whether it was billed" in (summary.maybe_billed[0].error or "")
            assert [one.client_request_id for one in status(site.output).maybe_billed] == [vendor.posts[2]]


async def test_a_log_that_lacks_only_the_row_in_question_is_believed_and_looked_at_again(site: Site) -> None:
    def without_third(rows: list[Row]) -> list[Row]:
        return [row for row in rows if row["inference_id"] != "inf-2"]

    async with selling(Vendor(without_third, cut=frozenset({3}))) as vendor:
        prompts = [f"Fox {n}" for n in range(6)]
        summary = await site.run(*prompts, endpoint=vendor.base, limits={"concurrency": 1})
        assert (summary.exit_code, named(summary), summary.lost) == (0, [], ())
        vendor.log = lambda rows: rows
        assert [one.client_request_id for one in (await site.run()).lost] == [vendor.posts[2]]


async def test_an_empty_log_proves_nothing_until_it_shows_that_it_is_kept(site: Site) -> None:
    # The first request of this account is cut and not billed: an empty log is all there is to see.
    async with selling(Vendor(cut=frozenset({1}), free=frozenset({1}))) as vendor:
        summary = await site.run("A fox", endpoint=vendor.base, limits={"on_unknown_outcome": "hold"})
        assert dict(summary.failed) == {"maybe-billed": 1}
        assert "it is empty" in (summary.maybe_billed[0].error or "")
        # Somebody else on the account buys something, at another time: it is a log.
        vendor.charge("another-program")["created"] = moment(time.time() - 3 * 86_400)
        assert (await site.run()).exit_code == 0
        assert len(vendor.posts) == 2


async def test_a_first_run_settles_its_own_doubts_once_its_first_answer_is_booked(site: Site) -> None:
    async with selling(Vendor(cut=frozenset({1}), free=frozenset({1}))) as vendor:
        summary = await site.run("A fox", endpoint=vendor.base)
        assert (summary.exit_code, named(summary), summary.books.billed) == (0, [], vendor.billed)


SPELLINGS = {
    "upper": str.upper,
    "lower": str.lower,
    "spaces": lambda label: f" {label} ",
    "underscores": lambda label: label.replace(".", "_").replace("-", "_"),
    "bare": lambda label: label.replace(".", "").replace("-", ""),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
async def test_a_label_in_another_spelling_is_ours(site: Site, spell: Callable[[str], str]) -> None:
    def respelt(rows: list[Row]) -> list[Row]:
        return [row | {"client_request_id": spell(row["client_request_id"])} for row in rows]

    async with selling(Vendor(respelt, cut=frozenset({1}))) as vendor:
        summary = await site.run("A fox", endpoint=vendor.base)
        assert [one.client_request_id for one in summary.lost] == vendor.posts[:1]
        assert summary.unrecorded is None


@pytest.mark.parametrize("cut", [frozenset({1}), frozenset({3})], ids=["first", "third"])
async def test_a_log_that_keeps_labels_in_a_form_of_its_own_never_proves_that_nothing_was_billed(
    site: Site, cut: frozenset[int]
) -> None:
    def hashed(rows: list[Row]) -> list[Row]:
        return [row | {"client_request_id": f"r{hash(row['client_request_id'])}"} for row in rows]

    async with selling(Vendor(hashed, cut=cut)) as vendor:
        prompts = [f"Fox {n}" for n in range(4)]
        summary = await site.run(
            *prompts, endpoint=vendor.base, limits={"concurrency": 1, "on_unknown_outcome": "hold"}
        )
        assert (dict(summary.failed), len(vendor.posts)) == ({"maybe-billed": 1}, 4)
        assert "does not prove" in (summary.maybe_billed[0].error or "")


async def test_others_on_the_account_are_no_reason_to_doubt_a_log_that_has_our_answers(site: Site) -> None:
    async with selling(Vendor(cut=frozenset({3}), free=frozenset({3}))) as vendor:
        vendor.charge("another-program")
        prompts = [f"Fox {n}" for n in range(6)]
        summary = await site.run(
            *prompts, endpoint=vendor.base, limits={"concurrency": 1, "on_unknown_outcome": "hold"}
        )
        assert (summary.exit_code, len(vendor.posts)) == (0, 7)


async def test_a_log_without_pagination_is_read_to_its_end(site: Site) -> None:
    vendor = Vendor(cut=frozenset({1}), paginated=False)
    async with selling(vendor):
        vendor.log = lambda rows: rows + [vendor.charge("another") for _ in range(250)] if len(rows) < 3 else rows
        summary = await site.run("A fox", endpoint=vendor.base)
        assert [one.client_request_id for one in summary.lost] == vendor.posts[:1]


async def test_a_charge_without_a_label_may_be_ours_so_nothing_is_proven(site: Site) -> None:
    async with selling(Vendor(cut=frozenset({1}), free=frozenset({1}))) as vendor:
        vendor.charge(None)
        summary = await site.run("A fox", endpoint=vendor.base, limits={"on_unknown_outcome": "hold"})
        assert dict(summary.failed) == {"maybe-billed": 1}
        assert "bears no label" in (summary.maybe_billed[0].error or "")


async def test_a_charge_without_a_label_that_an_answer_belongs_to_is_that_answers(site: Site) -> None:
    def nameless(rows: list[Row]) -> list[Row]:
        return [row | {"client_request_id": None} for row in rows]

    async with selling(Vendor(nameless, cut=frozenset({2}), free=frozenset({2}))) as vendor:
        summary = await site.run("A fox", "A crow", endpoint=vendor.base, limits={"concurrency": 1})
        assert (summary.exit_code, named(summary), summary.books.billed) == (0, [], 2 * PRICE)


async def test_looks_go_on_for_a_day_and_then_end(site: Site) -> None:
    async with selling(Vendor(cut=frozenset({3}), free=frozenset({3}))) as vendor:
        await site.run(*(f"Fox {n}" for n in range(4)), endpoint=vendor.base, limits={"concurrency": 1})
        await site.run()
        with ledger_of(site) as ledger:
            (again,) = ledger.to_look_up_again(vendor.base)
            assert again.state == "unbilled"
            assert again.checks >= 3
        day = "strftime('%Y-%m-%dT%H:%M:%fZ', {}, '-25 hours')"
        change(site, f"UPDATE attempts SET created_at = {day.format('created_at')}, next_look = settled_at")
        await site.run()
        with ledger_of(site) as ledger:
            assert ledger.to_look_up_again(vendor.base) == []


async def test_while_no_look_is_due_a_run_asks_the_log_for_nothing(site: Site) -> None:
    async with selling(Vendor(cut=frozenset({3}), free=frozenset({3}))) as vendor:
        await site.run(*(f"Fox {n}" for n in range(4)), endpoint=vendor.base, limits={"concurrency": 1})
        await site.run()
        change(site, "UPDATE attempts SET next_look = '9999-01-01T00:00:00.000Z' WHERE next_look IS NOT NULL")
        calls = vendor.calls
        assert (await site.run()).exit_code == 0
        assert vendor.calls == calls


HOURS = [24.0, 40 / 60, 10 / 60, -24.0, -40 / 60]


@pytest.mark.parametrize("behind", HOURS, ids=str)
async def test_a_clock_that_was_wrong_when_a_run_was_killed_hides_no_charge(site: Site, behind: float) -> None:
    vendor = Vendor(cut=frozenset({2}), ahead=behind * 3600)
    async with selling(vendor):
        prompts = [f"Fox {n}" for n in range(3)]
        limits = {"concurrency": 1, "billing_lag": 3600}
        await site.run(
            *prompts, endpoint=vendor.base, limits=limits, stop_when=lambda: len(site_attempts(site, "maybe")) == 1
        )
        # The second request; and the third, if it had left before the run was torn down.
        doubted = sorted(site_attempts(site, "maybe") + site_attempts(site, "intent"))
        assert doubted[0] == vendor.posts[1]
        # Now our clock is right: all that it said before was as much too early.
        shift = f"strftime('%Y-%m-%dT%H:%M:%fZ', {{}}, '{-round(behind * 3600)} seconds')"
        times = ", ".join(f"{name} = {shift.format(name)}" for name in ("created_at", "ended_at"))
        change(site, f"UPDATE attempts SET {times}")
        for row in vendor.rows:
            row["created"] = moved(row["created"], -behind * 3600)
        charged = {row["client_request_id"] for row in vendor.rows}
        vendor.ahead = 0.0
        summary = await site.run(limits={"concurrency": 1, "billing_lag": 0})
        assert [one.client_request_id for one in summary.lost] == [label for label in doubted if label in charged]
        assert summary.exit_code == 0


@pytest.mark.parametrize("hours", HOURS, ids=str)
async def test_a_clock_of_which_nothing_is_known_hides_no_charge(site: Site, hours: float) -> None:
    vendor = Vendor(cut=frozenset({2}))
    async with selling(vendor):
        prompts = [f"Fox {n}" for n in range(3)]
        limits = {"concurrency": 1, "billing_lag": 3600}
        await site.run(
            *prompts, endpoint=vendor.base, limits=limits, stop_when=lambda: len(site_attempts(site, "maybe")) == 1
        )
        doubted = sorted(site_attempts(site, "maybe") + site_attempts(site, "intent"))
        assert doubted[0] == vendor.posts[1]
        # As from a ledger of version 2, and our clock was wrong then, or is now.
        change(site, "UPDATE attempts SET skew = NULL")
        for row in vendor.rows:
            row["created"] = moved(row["created"], hours * 3600)
        vendor.ahead = hours * 3600
        charged = {row["client_request_id"] for row in vendor.rows}
        summary = await site.run(limits={"concurrency": 1, "billing_lag": 0})
        assert [one.client_request_id for one in summary.lost] == [label for label in doubted if label in charged]


def site_attempts(site: Site, state: str) -> list[str]:
    with ledger_of(site) as ledger:
        return [attempt.id for attempt in ledger.in_state(state)]


async def test_a_charge_found_lost_is_named_though_the_clock_was_set_back_during_the_run(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.run import billing_log

    monkeypatch.setattr(billing_log, "utc_now", lambda: "2001-01-01T00:00:00.000Z")
    site.sandbox.behaviour = faults(("reset-after-billing", "ok"))
    assert [one.tokens for one in (await site.run("A fox")).lost] == [PRICE]
