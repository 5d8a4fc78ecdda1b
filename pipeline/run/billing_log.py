"""Looking up in the vendor's log whether requests were billed, and writing down what it says."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from pipeline.clock import utc, utc_now
from pipeline.events import BillingLogMissing, ChargesUnreadable, ChargesUnrecorded, EarlierRunsUnresolved, Listener
from pipeline.ledger import Ledger
from pipeline.limits.budget import Budget
from pipeline.limits.policy import STANDARD, Policy
from pipeline.model import Item
from pipeline.providers.aimlapi.account import Account, NoAnswer, NoLog, TooLong
from pipeline.report.charges import Unrecorded
from pipeline.run.evidence import MARGIN, BillingFinding, Reading, SoughtAttempt, same
from pipeline.run.unrecorded import unrecorded
from pipeline.settings import SANDBOX

TOGETHER = 3600.0
"""Seconds between two requests up to which both are looked for in one reading of the log."""

MOST_ROWS = 100_000
"""Rows of one reading; at the pace that the vendor allows that is seven minutes."""

ALIVE = 30 * 86_400.0
"""Seconds back from now for which a log is asked whether it has any row at all."""

LOOKS = 3
"""How often the log is read at least for what it does not know."""

LAST_LOOK = 86_400.0
"""Seconds after which a request must have been looked up for the last time: what is not booked by then never is."""

LONGEST_GAP = LAST_LOOK / 2


@dataclass(slots=True)
class BillingLog:
    """Reads the log and writes the ledger.

    Attributes:
        base: Where the requests of this run go, as the ledger's runs have it.
        ledger: Gets each verdict.
        account: Tells what was billed.
        budget: Corrected by each verdict.
        request_timeout: Seconds that a request may take: so long after it was sent it may have been booked.
        tell: Listens to what happens.
        billing_lag: Seconds after which a request is in the log if it was billed.
        policy: How much of the log is read.
        unknown_to_ledger: Charges for this job's images that were found before anything was bought.
    """

    base: str
    ledger: Ledger
    account: Account
    budget: Budget
    request_timeout: float
    tell: Listener
    billing_lag: float = 0.0
    policy: Policy = STANDARD
    unknown_to_ledger: Unrecorded | None = None

    async def catch_up(self, billing_lag: float) -> None:
        """Settle what earlier runs have left in doubt, and look once more for what the log did not know then.

        `billing_lag`: Seconds; what is younger may not be in the log yet, and is left alone.
        """
        clock = self.account.server
        unsettled = [SoughtAttempt.of(one) for one in self.ledger.unsettled(self.base)]
        again = [SoughtAttempt.of(one) for one in self.ledger.to_look_up_again(self.base, utc_now())]
        try:
            if unsettled and clock.skew is None:
                await self._probe()
            await self.reconcile([one for one in unsettled if one.age(clock) >= billing_lag] + again)
        except NoAnswer as error:
            self.tell(EarlierRunsUnresolved(str(error)))

    async def check_again(self) -> None:
        """At the end of a run: look once more for what its log did not know, in case it was booked late."""
        again = self.ledger.to_look_up_again(self.base, utc_now())
        try:
            await self.reconcile([SoughtAttempt.of(one) for one in again])
        except NoAnswer:
            # The next run does.
            return

    async def find_unrecorded(self, items: Callable[[], Iterator[Item]]) -> None:
        """Before anything is bought: has the account paid for these items' images by runs that the ledger lacks?

        They are named and nothing is refused for them. What a run's own sandbox makes costs nothing, so it is not
        asked.

        Raises:
            KeyRefused: The key is not valid.
        """
        if self.base == SANDBOX:
            return
        lag = self.billing_lag + self.request_timeout + MARGIN
        try:
            self.unknown_to_ledger = await unrecorded(self.account, self.ledger, self.base, items, lag, self.policy)
        except NoLog:
            return
        except NoAnswer as error:
            self.tell(ChargesUnreadable(str(error)))
        if self.unknown_to_ledger:
            self.tell(ChargesUnrecorded(self.unknown_to_ledger.said()))

    async def reconcile(self, wanted: Sequence[SoughtAttempt]) -> dict[str, BillingFinding]:
        """What the log says of attempts, by their ids; it is written down before it is told.

        Raises:
            KeyRefused: The key is not valid.
            NoAnswer: The log can't be read just now.
        """
        if not wanted:
            return {}
        found: dict[str, BillingFinding] = {}
        try:
            await self.account.probe()
            for group in self._clusters(wanted):
                found |= await self._look_up(group)
        except NoLog as error:
            if not all(one.checks for one in wanted):
                self.tell(BillingLogMissing(str(error)))
            found = {one.id: BillingFinding("unproven") for one in wanted}
        for one in wanted:
            await self._write(one, found[one.id])
        return found

    async def disprove(self, attempt: str) -> None:
        """Write down that no log that can be read here knows of an attempt."""
        finding = BillingFinding("unproven")
        await self.ledger.settled(attempt, "maybe", utc_now(), error=finding.said)

    def age(self, attempt: str) -> float:
        """Seconds since an attempt of an earlier run was sent, as far as the clocks are known; 0 at least."""
        known = self.ledger.attempt(attempt, answer=False)
        return max(0.0, SoughtAttempt.of(known).age(self.account.server)) if known else 0.0

    async def _probe(self) -> None:
        try:
            await self.account.probe()
        except NoLog:
            # Even who refuses names the time.
            return

    def _span(self, one: SoughtAttempt) -> tuple[float, float]:
        """From when to when a charge for an attempt may have been booked, by the server's clock."""
        earliest, latest = one.sent(self.account.server)
        return earliest - MARGIN, latest + self.request_timeout + MARGIN

    def _clusters(self, wanted: Sequence[SoughtAttempt]) -> Iterator[list[SoughtAttempt]]:
        """The attempts in the order they were sent, in groups that lie close together."""
        group: list[SoughtAttempt] = []
        end = 0.0
        for one in sorted(wanted, key=self._span):
            start, until = self._span(one)
            if group and start - end > TOGETHER:
                yield group
                group = []
            group.append(one)
            end = max(end, until)
        if group:
            yield group

    async def _look_up(self, wanted: Sequence[SoughtAttempt]) -> dict[str, BillingFinding]:
        spans = {one.id: self._span(one) for one in wanted}
        start, end = min(span[0] for span in spans.values()), max(span[1] for span in spans.values())
        reading = Reading({same(one.id): one for one in wanted}, self._receipts(start, end))
        try:
            async for row in self.account.logged(start, end, most=MOST_ROWS):
                reading.take(row, self.ledger.of_inference(row.inference_id) if row.inference_id else None)
        except TooLong as error:
            return {one.id: BillingFinding("unproven", why=str(error)) for one in wanted}
        trusted = self.base == SANDBOX or reading.alive or await self._is_alive()
        return {one.id: reading.finding(one, spans[one.id], trusted=trusted) for one in wanted}

    def _receipts(self, start: float, end: float) -> list[str]:
        """Labels of our paid answers that a whole log must have from `start` until `end`, by the server's clock.

        Not of those that are so young that they may not be booked yet, and not of those at the edges of the time.
        """
        booked = self.account.server.now() - self.billing_lag
        latest = min(end - self.request_timeout - MARGIN, booked)
        return [same(label) for label in self.ledger.receipts(self.base, start + MARGIN, latest)]

    async def _is_alive(self) -> bool:
        """Whether the log has any row of this account."""
        now = self.account.server.now()
        async with aclosing(self.account.logged(now - ALIVE, now + MARGIN)) as rows:
            async for _ in rows:
                return True
        return False

    async def _write(self, one: SoughtAttempt, finding: BillingFinding) -> None:
        verdict = finding.verdict
        if verdict == "unproven" and one.unbilled and not finding.seen:
            # A log that was whole has not known it; that this reading proves less is no reason to forget that.
            verdict = "unbilled"
        await self.ledger.settled(
            one.id,
            "maybe" if verdict == "unproven" else verdict,
            utc_now(),
            tokens=finding.tokens,
            usd=finding.usd,
            error=finding.said,
            next_look=None if verdict == "lost" else self._next_look(one),
        )
        if one.booked and verdict != "unproven":
            self.budget.correct((finding.tokens or 0) - one.booked)

    def _next_look(self, one: SoughtAttempt) -> str | None:
        """When the log is to be read for an attempt once more; None once that was often enough, and late enough.

        The first looks are due as soon as there is an opportunity: when the attempt is settled, at the end of that run
        and at the beginning of the next. After those, each look waits for as long again as the attempt is old: runs
        that follow each other closely leave looks over for the day in which a late charge may be booked.
        """
        age, checks = max(0.0, one.age(self.account.server)), one.checks + 1
        if checks < LOOKS:
            return utc_now()
        return None if age >= LAST_LOOK else utc(time.time() + min(age, LONGEST_GAP))
