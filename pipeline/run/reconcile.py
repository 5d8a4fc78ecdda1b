"""Reconciling: whether a request that brought no answer was billed is found out before it is made again.

An unresolved attempt waits until its request is older than `limits.billing_lag`: by then the vendor has given it up or
booked it. What was not billed is asked again; what was is lost, and asked again only as far as
`limits.retry_paid_budget_usd` goes.
"""

import heapq
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count

import anyio

from pipeline.errors import GiveUp
from pipeline.events import AskingAgain, BillingLogAwaited, BillingLogUnreadable, Listener
from pipeline.ledger import Ledger
from pipeline.limits.budget import RetryPaidBudget
from pipeline.limits.policy import STANDARD, Policy
from pipeline.limits.stop import StopSignal
from pipeline.model import CREDITS_PER_USD, UnresolvedAttempt
from pipeline.providers.aimlapi.account import NoAnswer
from pipeline.run.billing_log import BillingLog
from pipeline.run.evidence import BillingFinding, SoughtAttempt, seconds_of
from pipeline.text import grouped, usd


@dataclass(frozen=True, slots=True, order=True)
class _Parked:
    """An unresolved attempt, by when it is due; times in seconds of the event loop's clock, which nobody sets.

    `sent` is None where an earlier run has sent its request.
    """

    due: float
    number: int
    sent: float | None = field(compare=False)
    case: UnresolvedAttempt = field(compare=False)


@dataclass(slots=True)
class Reconciler:
    """The unresolved attempts of one run, and the way to their verdicts.

    Attributes:
        ledger: Knows where each attempt was sent.
        lookup: Finds out.
        lost_budget: What may be spent on asking again.
        billing_lag: Seconds from sending a request until the log is read for it.
        on_unknown_outcome: `retry` or `hold` what nobody can prove.
        patience: Seconds for which a log that can't be read is asked again.
    """

    ledger: Ledger
    stop: StopSignal
    billing_log: BillingLog
    lost_budget: RetryPaidBudget
    tell: Listener
    billing_lag: float
    on_unknown_outcome: str
    patience: float
    policy: Policy = STANDARD
    _waiting: list[_Parked] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)
    _acting: int = 0
    _closing: bool = False
    _changed: anyio.Event = field(default_factory=anyio.Event)
    _no_answer_since: float | None = None

    def park(self, case: UnresolvedAttempt, age: float | None = None) -> None:
        """Take in an unresolved attempt, `age` seconds after its request was sent; None: as the ledger has it."""
        elapsed = self.billing_log.age(case.attempt) if age is None else age
        now = anyio.current_time()
        due = now if case.verdict != "open" else now + max(0.0, self.billing_lag - elapsed)
        if due > now and not self._waiting:
            self.tell(BillingLogAwaited(due - now))
        self._wait(_Parked(due, next(self._numbers), None if age is None else now - age, case))

    @property
    def due_in(self) -> float | None:
        """Seconds until the log is read for the first that waits; None where none does."""
        return max(0.0, self._waiting[0].due - anyio.current_time()) if self._waiting else None

    def close(self) -> None:
        """Nothing more will come but from those that wait."""
        self._closing = True
        self._wake()

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Something is done about a verdict, and may be unresolved again."""
        try:
            yield
        finally:
            self._acting -= 1
            self._wake()

    async def due(self) -> list[UnresolvedAttempt]:
        """Wait until some can be resolved, and give them with their verdicts; none when nothing is left to come.

        For each of them, `acting` must be entered.

        Raises:
            GateClosed: The run is ending.
            KeyRefused: The key is not valid.
        """
        while True:
            with self.stop.interruptible():
                if not await self._ripe():
                    return []
                unresolved = await self._verdicts(self._take())
            if unresolved:
                self._acting += len(unresolved)
                return unresolved

    def _wait(self, waiting: _Parked) -> None:
        heapq.heappush(self._waiting, waiting)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _ripe(self) -> bool:
        """Wait until the first is due; False when none is left to come."""
        while not self._waiting or self._waiting[0].due > anyio.current_time():
            if not self._waiting and self._closing and not self._acting:
                return False
            left = self._waiting[0].due - anyio.current_time() if self._waiting else None
            changed = self._changed
            with anyio.move_on_after(left):
                await changed.wait()
        return True

    def _take(self) -> list[_Parked]:
        taken = []
        while self._waiting and self._waiting[0].due <= anyio.current_time():
            taken.append(heapq.heappop(self._waiting))
        return taken

    async def _verdicts(self, taken: Sequence[_Parked]) -> list[UnresolvedAttempt]:
        ready = [one.case for one in taken if one.case.verdict != "open"]
        ours: list[_Parked] = []
        for one in taken:
            if one.case.verdict != "open":
                continue
            if self.ledger.base_of(one.case.attempt) == self.billing_log.base:
                ours.append(one)
            else:
                # Sent to another endpoint, whose log this run can't read.
                await self.billing_log.disprove(one.case.attempt)
                ready.append(_resolved(one.case, BillingFinding("unproven")))
        return ready + await self._looked_up(ours)

    async def _looked_up(self, ours: Sequence[_Parked]) -> list[UnresolvedAttempt]:
        wanted = [self._wanted(one) for one in ours]
        try:
            found = await self.billing_log.reconcile(wanted)
        except NoAnswer as error:
            return self._later(ours, error)
        self._no_answer_since = None
        return [_resolved(one.case, found[one.case.attempt]) for one in ours]

    def _wanted(self, one: _Parked) -> SoughtAttempt:
        ago = None if one.sent is None else anyio.current_time() - one.sent
        booked = one.case.booked or None
        if known := self.ledger.attempt(one.case.attempt, answer=False):
            return SoughtAttempt.of(known, ago=ago, booked=booked)
        return SoughtAttempt(one.case.attempt, seconds_of(one.case.created_at), ago=ago, booked=booked)

    def _later(self, ours: Sequence[_Parked], error: NoAnswer) -> list[UnresolvedAttempt]:
        """Look again in a while; or, at the end of all patience, leave it to the next run."""
        now = anyio.current_time()
        if self._no_answer_since is None:
            self._no_answer_since = now
            self.tell(BillingLogUnreadable(len(ours), str(error)))
        if now - self._no_answer_since >= self.patience:
            return [one.case for one in ours]
        for one in ours:
            self._wait(replace(one, due=now + self.policy.log_again))
        return []

    def refusal(self, case: UnresolvedAttempt, *, last: bool = False) -> GiveUp | None:
        """Why an unresolved request may not be made again; None when it may, and its price is booked then.

        `last`: it has been made as often as `limits.attempts` allows.
        """
        if case.verdict == "unbilled":
            return None
        if case.verdict == "open":
            return GiveUp(f"{case.error}; the log can't be read to see if it was billed", cause="unsettled")
        lost = case.verdict == "lost"
        what = f"{case.error}, {_cost(case.price)}"
        cause = "lost" if lost else "maybe-billed"
        if case.forgone:
            return GiveUp(case.error, cause=cause)
        if not lost and self.on_unknown_outcome == "hold":
            return GiveUp(
                f"{what}; limits.on_unknown_outcome is hold: only --retry-failed asks for it again", cause=cause
            )
        if last:
            return GiveUp(f"{what}; limits.attempts is reached: --retry-failed asks for it again", cause=cause)
        if not self.lost_budget.allows(case.price):
            cap = _cost(self.lost_budget.cap)
            return GiveUp(
                f"{what}; limits.retry_paid_budget_usd ({cap}) is used up: --retry-failed asks for it again",
                cause=cause,
            )
        self.tell(AskingAgain(case.request.item.id, what))
        return None


def _resolved(case: UnresolvedAttempt, finding: BillingFinding) -> UnresolvedAttempt:
    return replace(case, verdict=finding.verdict, error=f"{case.error}; {finding.said}")


def _cost(tokens: int | None) -> str:
    return "at an unknown price" if tokens is None else f"{grouped(tokens)} tokens ({usd(tokens / CREDITS_PER_USD)})"
