"""Looking up in the vendor's log whether requests were billed, and writing down what it says.

What the log does not know was not billed, unless it holds a charge of about that time that bears no label and belongs
to no answer: that could be it, and nobody can say.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pipeline.api.account import Account, Logged, NoAnswer, NoLog
from pipeline.budget import Budget
from pipeline.errors import StorageFailed
from pipeline.ledger import CHECKS, Attempt, Ledger
from pipeline.view import utc_now

MARGIN = 60.0
"""Seconds by which clocks, and times of booking, may differ."""

TOGETHER = 3600.0
"""Seconds between two requests up to which both are looked for in one reading of the log."""

Verdict = Literal["unbilled", "lost", "unproven"]

SAID: dict[Verdict, str] = {
    "lost": "the vendor's log says that it was billed",
    "unbilled": "the vendor's log says that it was not billed",
    "unproven": "no log can say whether it was billed",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """An attempt to look for.

    Attributes:
        id: Its id.
        sent: When it was sent, in seconds since the epoch by our clock.
        booked: Tokens that the budget holds for it; None where it holds none.
        settled: The log has been read for it before, and did not know it.
    """

    id: str
    sent: float
    booked: int | None = None
    settled: bool = False

    @classmethod
    def of(cls, attempt: Attempt) -> "Wanted":
        """An attempt of an earlier run, or one that is looked for again."""
        return cls(attempt.id, seconds_of(attempt.created_at), settled=attempt.state == "unbilled")


@dataclass(frozen=True, slots=True)
class _Finding:
    verdict: Verdict
    tokens: int | None = None
    usd: float | None = None


@dataclass(slots=True)
class Lookup:
    """Reads the log and writes the ledger.

    Attributes:
        base: Where the requests of this run go, as the ledger's runs have it.
        ledger: Gets each verdict.
        account: Tells what was billed.
        budget: Corrected by each verdict.
        request_timeout: Seconds that a request may take: so long after it was sent it may have been booked.
        note: Says something to whoever watches the run.
    """

    base: str
    ledger: Ledger
    account: Account
    budget: Budget
    request_timeout: float
    note: Callable[[str], None]
    clock: Callable[[], float] = time.time

    async def catch_up(self, settle: float) -> None:
        """Settle what earlier runs have left in doubt, and look once more for what the log did not know then.

        `settle`: Seconds; what is younger may not be in the log yet, and is left alone.
        """
        now = self.clock()
        old = [one for one in self.ledger.unsettled(self.base) if now - seconds_of(one.created_at) >= settle]
        again = self.ledger.to_check_again(self.base, CHECKS)
        try:
            await self.verdicts([Wanted.of(one) for one in (*old, *again)])
        except NoAnswer as error:
            self.note(f"what earlier runs left in doubt can't be settled now: {error}")

    async def check_again(self) -> None:
        """At the end of a run: look once more for what its log did not know, in case it was booked late."""
        try:
            await self.verdicts([Wanted.of(one) for one in self.ledger.to_check_again(self.base, 2)])
        except NoAnswer:
            # The next run does.
            return

    async def verdicts(self, wanted: Sequence[Wanted]) -> dict[str, Verdict]:
        """What the log says of attempts, by their ids; it is written down before it is told.

        Raises:
            KeyRefused: The key is not valid.
            NoAnswer: The log can't be read just now.
        """
        if not wanted:
            return {}
        found: dict[str, _Finding] = {}
        try:
            await self.account.probe()
            for group in _clusters(wanted):
                found |= await self._look_up(group)
        except NoLog as error:
            self.note(f"nobody can say what was billed: {error}")
            found = {one.id: _Finding("unproven") for one in wanted}
        for one in wanted:
            await self._write(one, found[one.id])
        return {attempt: finding.verdict for attempt, finding in found.items()}

    async def disprove(self, attempt: str) -> None:
        """Write down that no log that can be read here knows of an attempt."""
        await self._write(Wanted(attempt, 0.0), _Finding("unproven"))

    async def _look_up(self, wanted: Sequence[Wanted]) -> dict[str, _Finding]:
        start, end = wanted[0].sent - MARGIN, wanted[-1].sent + self.request_timeout + MARGIN
        ids = {one.id for one in wanted}
        known: dict[str, dict[str | None, Logged]] = {}
        nameless: list[Logged] = []
        async for row in self.account.logged(start, end):
            if row.client_request_id in ids:
                # A row may come twice; an attempt that was billed twice has two rows.
                known.setdefault(row.client_request_id, {})[row.inference_id] = row
            elif row.client_request_id is None and row.credits and not self.ledger.knows(row.inference_id):
                nameless.append(row)
        return {one.id: self._finding(one, known.get(one.id, {}).values(), nameless) for one in wanted}

    def _finding(self, one: Wanted, rows: Iterable[Logged], nameless: Sequence[Logged]) -> _Finding:
        billed = [row for row in rows if row.credits]
        if billed:
            dollars = [row.usd for row in billed if row.usd is not None]
            return _Finding("lost", sum(row.credits for row in billed), sum(dollars) if dollars else None)
        sent = one.sent + self.account.skew
        latest = sent + self.request_timeout + MARGIN
        if any(row.created is None or sent - MARGIN <= row.created <= latest for row in nameless):
            return _Finding("unproven")
        return _Finding("unbilled")

    async def _write(self, one: Wanted, finding: _Finding) -> None:
        verdict = finding.verdict
        if one.settled and verdict == "unproven":
            verdict = "unbilled"
        state = "maybe" if verdict == "unproven" else verdict
        await self.ledger.settled(one.id, state, utc_now(), tokens=finding.tokens, usd=finding.usd, error=SAID[verdict])
        if verdict == "lost" or (verdict == "unbilled" and one.booked):
            self.budget.correct((finding.tokens or 0) - (one.booked or 0))


def seconds_of(created_at: str) -> float:
    """A time of the ledger in seconds since the epoch.

    Raises:
        StorageFailed: It is none.
    """
    try:
        return datetime.fromisoformat(created_at).timestamp()
    except ValueError:
        raise StorageFailed("the ledger is damaged: an attempt has no time; bring it back from a copy") from None


def _clusters(wanted: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    """The attempts in the order they were sent, in groups that lie close together."""
    group: list[Wanted] = []
    for one in sorted(wanted, key=lambda one: one.sent):
        if group and one.sent - group[-1].sent > TOGETHER:
            yield group
            group = []
        group.append(one)
    if group:
        yield group
