"""Settling: whether a request that brought no answer was billed is found out before it is made again.

A doubt waits until its request is older than `limits.settle`: by then the vendor has given it up or booked it. What
was not billed is asked again; what was is lost, and asked again only as far as `limits.budget_lost` goes.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count

import anyio

from pipeline.errors import GiveUp
from pipeline.ledger import Ledger
from pipeline.limits.budget import LostBudget
from pipeline.limits.stop import Gate
from pipeline.model import CREDITS_PER_USD, Doubt
from pipeline.providers.aimlapi.account import NoAnswer
from pipeline.run.evidence import Finding, Wanted, seconds_of
from pipeline.run.lookup import Lookup
from pipeline.text import duration, grouped, plural, usd

SETTLE = 660.0
"""Seconds after which a request is in the log if it was billed: the longest wait for an answer, and a minute."""

SETTLE_IN_SANDBOX = 1.0

LOOK_AGAIN = 30.0
"""Seconds after which a log is asked again that could not be read."""


@dataclass(frozen=True, slots=True, order=True)
class _Waiting:
    """A doubt, by when it is due; times in seconds of the event loop's clock, which nobody sets.

    `sent` is None where an earlier run has sent its request.
    """

    due: float
    number: int
    sent: float | None = field(compare=False)
    doubt: Doubt = field(compare=False)


@dataclass(slots=True)
class Settler:
    """The doubts of one run, and the way to their verdicts.

    Attributes:
        ledger: Knows where each attempt was sent.
        lookup: Finds out.
        lost_budget: What may be spent on asking again.
        settle: Seconds from sending a request until the log is read for it.
        on_maybe: `retry` or `hold` what nobody can prove.
        patience: Seconds for which a log that can't be read is asked again.
    """

    ledger: Ledger
    gate: Gate
    lookup: Lookup
    lost_budget: LostBudget
    note: Callable[[str], None]
    settle: float
    on_maybe: str
    patience: float
    _waiting: list[_Waiting] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)
    _acting: int = 0
    _closing: bool = False
    _changed: anyio.Event = field(default_factory=anyio.Event)
    _no_answer_since: float | None = None

    def park(self, doubt: Doubt, age: float | None = None) -> None:
        """Take in a doubt, `age` seconds after its request was sent (by the ledger, where that is not known)."""
        elapsed = self.lookup.age(doubt.attempt) if age is None else age
        now = anyio.current_time()
        due = now if doubt.verdict != "open" else now + max(0.0, self.settle - elapsed)
        if due > now and not self._waiting:
            self.note(f"a request may have been billed without an answer; the log is read in {duration(due - now)}")
        self._wait(_Waiting(due, next(self._numbers), None if age is None else now - age, doubt))

    @property
    def due_in(self) -> float | None:
        """Seconds until the log is read for the first of the doubts that wait; None where none does."""
        return max(0.0, self._waiting[0].due - anyio.current_time()) if self._waiting else None

    def close(self) -> None:
        """Nothing more will come but from the doubts themselves."""
        self._closing = True
        self._wake()

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Something is done about a verdict, and may end in doubt again."""
        try:
            yield
        finally:
            self._acting -= 1
            self._wake()

    async def due(self) -> list[Doubt]:
        """Wait until doubts can be settled, and give them with their verdicts; none when nothing is left to come.

        For each of them, `acting` must be entered.

        Raises:
            GateClosed: The run is ending.
            KeyRefused: The key is not valid.
        """
        while True:
            with self.gate.waiting():
                if not await self._ripe():
                    return []
                doubts = await self._verdicts(self._take())
            if doubts:
                self._acting += len(doubts)
                return doubts

    def _wait(self, waiting: _Waiting) -> None:
        heapq.heappush(self._waiting, waiting)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _ripe(self) -> bool:
        """Wait until the first doubt is due; False when none is left to come."""
        while not self._waiting or self._waiting[0].due > anyio.current_time():
            if not self._waiting and self._closing and not self._acting:
                return False
            left = self._waiting[0].due - anyio.current_time() if self._waiting else None
            changed = self._changed
            with anyio.move_on_after(left):
                await changed.wait()
        return True

    def _take(self) -> list[_Waiting]:
        taken = []
        while self._waiting and self._waiting[0].due <= anyio.current_time():
            taken.append(heapq.heappop(self._waiting))
        return taken

    async def _verdicts(self, taken: Sequence[_Waiting]) -> list[Doubt]:
        ready = [one.doubt for one in taken if one.doubt.verdict != "open"]
        ours: list[_Waiting] = []
        for one in taken:
            if one.doubt.verdict != "open":
                continue
            if self.ledger.base_of(one.doubt.attempt) == self.lookup.base:
                ours.append(one)
            else:
                # Sent to another endpoint, whose log this run can't read.
                await self.lookup.disprove(one.doubt.attempt)
                ready.append(_settled(one.doubt, Finding("unproven")))
        return ready + await self._looked_up(ours)

    async def _looked_up(self, ours: Sequence[_Waiting]) -> list[Doubt]:
        wanted = [self._wanted(one) for one in ours]
        try:
            found = await self.lookup.verdicts(wanted)
        except NoAnswer as error:
            return self._later(ours, error)
        self._no_answer_since = None
        return [_settled(one.doubt, found[one.doubt.attempt]) for one in ours]

    def _wanted(self, one: _Waiting) -> Wanted:
        ago = None if one.sent is None else anyio.current_time() - one.sent
        booked = one.doubt.booked or None
        if known := self.ledger.attempt(one.doubt.attempt, answer=False):
            return Wanted.of(known, ago=ago, booked=booked)
        return Wanted(one.doubt.attempt, seconds_of(one.doubt.created_at), ago=ago, booked=booked)

    def _later(self, ours: Sequence[_Waiting], error: NoAnswer) -> list[Doubt]:
        """Look again in a while; or, at the end of all patience, leave it to the next run."""
        now = anyio.current_time()
        if self._no_answer_since is None:
            self._no_answer_since = now
            self.note(f"whether {plural(len(ours), 'request')} were billed can't be settled now: {error}")
        if now - self._no_answer_since >= self.patience:
            return [one.doubt for one in ours]
        for one in ours:
            self._wait(replace(one, due=now + LOOK_AGAIN))
        return []

    def refusal(self, doubt: Doubt, *, last: bool = False) -> GiveUp | None:
        """Why a doubt's request may not be made again; None when it may, and its price is booked then.

        `last`: it has been made as often as `limits.attempts` allows.
        """
        if doubt.verdict == "unbilled":
            return None
        if doubt.verdict == "open":
            return GiveUp(f"{doubt.error}; the log can't be read to see if it was billed", cause="unsettled")
        lost = doubt.verdict == "lost"
        what = f"{doubt.error}, {_cost(doubt.price)}"
        cause = "lost" if lost else "maybe-billed"
        if doubt.forgone:
            return GiveUp(doubt.error, cause=cause)
        if not lost and self.on_maybe == "hold":
            return GiveUp(f"{what}; limits.on_maybe is hold: only --retry-failed asks for it again", cause=cause)
        if last:
            return GiveUp(f"{what}; limits.attempts is reached: --retry-failed asks for it again", cause=cause)
        if not self.lost_budget.allows(doubt.price):
            cap = _cost(self.lost_budget.cap)
            return GiveUp(
                f"{what}; limits.budget_lost ({cap}) is used up: --retry-failed asks for it again", cause=cause
            )
        self.note(f"{doubt.request.item.id}: {what}; asking again")
        return None


def _settled(doubt: Doubt, finding: Finding) -> Doubt:
    return replace(doubt, verdict=finding.verdict, error=f"{doubt.error}; {finding.said}")


def _cost(tokens: int | None) -> str:
    return "at an unknown price" if tokens is None else f"{grouped(tokens)} tokens ({usd(tokens / CREDITS_PER_USD)})"
