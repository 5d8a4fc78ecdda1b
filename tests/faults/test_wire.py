"""Every way that an answer can go wrong: no request of unknown fate is followed by another, and every bill is named."""

import pytest

from pipeline.ledger import LedgerReader
from sandbox import KINDS
from tests.run.site import Site, faults

API = sorted(kind for kind in KINDS if not kind.startswith("cdn-") and kind != "ok")


def states(site: Site) -> list[str]:
    """What became of each attempt, oldest first."""
    with LedgerReader(site.output / ".pipeline" / "ledger.db") as ledger:
        return [attempt.state for attempt in ledger.attempts_of(site.sandbox.base)]


@pytest.mark.parametrize("kind", API)
async def test_what_may_have_been_billed_is_not_sent_again_before_its_log_is_read(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults(kind)
    limits = {"billing_lag": 3600, "request_timeout": 0.3, "attempts": 3, "patience": 5}
    await site.run("A fox", limits=limits, stop_when=lambda: site.posts, stop_after=0.4)
    found = states(site)
    assert found, "nothing was sent"
    assert not {"maybe", "intent", "lost", "unbilled"} & set(found[:-1]), f"sent again blindly: {found}"


@pytest.mark.parametrize("kind", API)
async def test_every_bill_is_paid_for_or_lost_and_the_books_are_those_of_the_upstream(site: Site, kind: str) -> None:
    site.sandbox.behaviour = faults((kind, "ok"))
    summary = await site.run("A fox", {"prompt": "A crow", "count": 3}, limits={"request_timeout": 0.3})
    log = site.sandbox.request_log
    assert site.billed() == summary.books.billed == log.billed_credits()
    named = {row.client_request_id or "unnamed" for row in log.requests() if row.credits}
    with LedgerReader(site.output / ".pipeline" / "ledger.db") as ledger:
        became = {attempt.id: attempt.state for attempt in ledger.attempts_of(site.sandbox.base)}
    assert {became[name] for name in named} <= {"paid", "lost"}
