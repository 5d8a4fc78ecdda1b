"""What one reading of the vendor's log proves about requests that brought no answer.

A charge is proof that a request was billed, a failed row without a cost that it was not. That a request is not in the
log proves something only where the log is known to be whole; `Reading.finding` says when that is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pipeline.clock import ServerClock
from pipeline.errors import StorageFailed
from pipeline.ledger import Attempt
from pipeline.providers.aimlapi.account import Logged
from pipeline.report.charges import Label
from pipeline.text import plural

MARGIN = 60.0
"""Seconds by which clocks, and times of booking, may differ."""

DAY = 86_400.0
"""Seconds by which the clock of a machine may have been wrong, where nothing says how wrong it was."""

Verdict = Literal["unbilled", "lost", "unproven"]

SAID: dict[Verdict, str] = {
    "lost": "the vendor's log says that it was billed",
    "unbilled": "the vendor's log says that it was not billed",
    "unproven": "no log can say whether it was billed",
}


@dataclass(frozen=True, slots=True)
class BillingFinding:
    """What the log says of one attempt.

    Attributes:
        verdict: Whether it was billed.
        tokens: What was billed.
        usd: The same in dollars, where the log says so.
        why: Why nothing is proven.
        seen: The log has a row of it.
    """

    verdict: Verdict
    tokens: int | None = None
    usd: float | None = None
    why: str = ""
    seen: bool = False

    @property
    def said(self) -> str:
        """The same for people."""
        if self.why:
            return f"the vendor's log does not prove whether it was billed: {self.why}"
        return SAID[self.verdict]


@dataclass(frozen=True, slots=True)
class SoughtAttempt:
    """An attempt to look for.

    Attributes:
        id: Its id.
        created: When it was sent, in seconds since the epoch by our clock as it then was.
        skew: Seconds by which the server's clock was ahead of it; None: unknown.
        ago: Seconds since then by the event loop's clock, where this run has sent it: nobody sets that clock.
        booked: Tokens that the budget holds for it; None where it holds none.
        inference_id: The vendor's own id, where any answer has named it.
        unbilled: The log has been read for it before, and did not know it.
        checks: How often the log has been read for it.
    """

    id: str
    created: float
    skew: float | None = None
    ago: float | None = None
    booked: int | None = None
    inference_id: str | None = None
    unbilled: bool = False
    checks: int = 0

    @classmethod
    def of(cls, attempt: Attempt, *, ago: float | None = None, booked: int | None = None) -> "SoughtAttempt":
        """An attempt of the ledger."""
        return cls(
            attempt.id,
            seconds_of(attempt.created_at),
            attempt.skew,
            ago,
            booked,
            attempt.inference_id,
            attempt.state == "unbilled",
            attempt.checks,
        )

    def sent(self, clock: ServerClock) -> tuple[float, float]:
        """The earliest and the latest moment, by the server's clock, at which it may have been sent.

        Where both clocks are known, that is one moment. An old ledger, or a server that names no `Date`, does not say
        how wrong our clock was: then it is as right as it is now, or right, or a day off either way. A run's own
        request is also looked for where the event loop says, which a clock that was set meanwhile does not move.
        """
        present = clock.skew or 0.0
        moments = [self.created + self.skew] if self.skew is not None else [self.created, self.created + present]
        if self.ago is not None:
            moments.append(clock.now() - self.ago)
        wide = DAY if self.skew is None and self.ago is None else 0.0
        return min(moments) - wide, max(moments) + wide

    def age(self, clock: ServerClock) -> float:
        """Seconds since it was sent, as far as the clocks are known; negative where they contradict each other."""
        sent = self.created + (self.skew if self.skew is not None else clock.skew or 0.0)
        return clock.now() - sent if self.ago is None else self.ago


@dataclass(slots=True)
class Reading:
    """One reading of the log, row by row.

    Attributes:
        wanted: The attempts that it is read for, by their labels as `same` has them.
        receipts: Labels, as `same` has them, of paid answers of that time that a whole log must have.
        rows: The rows of each wanted attempt.
        nameless: Charges that bear no label and belong to no answer.
        foreign: The same with a label that is not of this program's form.
        keeps: A row bears a label of this program's form: the log keeps labels as they were sent.
        missing: Those of `receipts` that have not come yet.
        alive: Whether any row has come.
    """

    wanted: Mapping[str, SoughtAttempt]
    receipts: Sequence[str]
    rows: dict[str, dict[tuple[str | None, float | None], Logged]] = field(default_factory=dict)
    nameless: list[Logged] = field(default_factory=list)
    foreign: list[Logged] = field(default_factory=list)
    keeps: bool = False
    missing: set[str] = field(init=False)
    alive: bool = False

    def __post_init__(self) -> None:
        self.missing = set(self.receipts)

    def take(self, row: Logged, owner: str | None) -> None:
        """Take in one row; `owner` is the label of the attempt that has the row's inference id, if one has."""
        self.alive = True
        label, is_ours = same(row.client_request_id), Label.of(row.client_request_id) is not None
        self.keeps = self.keeps or is_ours
        if label not in self.wanted:
            self.missing.discard(label)
            label = same(owner)
            self.missing.discard(label)
        if label in self.wanted:
            # A row may come twice; an attempt that was billed twice has two rows.
            self.rows.setdefault(label, {})[row.inference_id, row.created] = row
        elif not is_ours and not label and row.billed is not False:
            (self.nameless if row.client_request_id is None else self.foreign).append(row)

    def finding(self, one: SoughtAttempt, span: tuple[float, float], *, trusted: bool) -> BillingFinding:
        """What has come out for one attempt.

        It was billed where a row names a cost, and was not where its only rows are failed ones. Where it has no row,
        that proves that it was not billed in two cases only:

        1. The log has our own paid answers of about that time, every one of them.
        2. We hold no receipt of that time (a first run, or one whose requests all failed), but the log has rows of
           this account: it is a log that is kept. The attempt is older than `limits.billing_lag` by now, within which a
           charge is booked; a charge that is later still is found by the later looks.

        Everything else proves nothing: an empty log may be that of an account that has never paid, or a server's
        empty answer; a log that lacks what we hold a receipt for may lack this attempt too; and a charge without a
        label may be it, as may one under a strange label, where nothing shows that labels are kept as they were sent.

        Args:
            one: The attempt.
            span: From when to when a charge for it may have been booked, by the server's clock.
            trusted: The log is that of our own sandbox, or has rows of this account.
        """
        rows = self.rows.get(same(one.id), {}).values()
        if rows:
            return _of_rows(rows)
        if _any_in(span, self.nameless):
            return BillingFinding("unproven", why="it has a charge of that time that bears no label")
        if not self.keeps and _any_in(span, self.foreign):
            return BillingFinding("unproven", why="it has a charge of that time under a label that may stand for ours")
        if self.missing:
            lacking = plural(len(self.missing), "paid request")
            return BillingFinding("unproven", why=f"it lacks {lacking} of that time that we hold the answers of")
        if not trusted:
            return BillingFinding("unproven", why="it is empty")
        return BillingFinding("unbilled")


def _any_in(span: tuple[float, float], rows: Iterable[Logged]) -> bool:
    return any(row.created is None or span[0] <= row.created <= span[1] for row in rows)


def _of_rows(rows: Iterable[Logged]) -> BillingFinding:
    billed = [row for row in rows if row.billed]
    if billed:
        dollars = [row.usd for row in billed if row.usd is not None]
        return BillingFinding("lost", sum(row.credits for row in billed), sum(dollars) if dollars else None, seen=True)
    if any(row.billed is None for row in rows):
        return BillingFinding("unproven", why="its row says neither that it was billed nor that it was not", seen=True)
    return BillingFinding("unbilled", seen=True)


def same(label: str | None) -> str:
    """A label as it is compared: some servers change the case of what they keep, or the signs between its parts."""
    ours = Label.of(label)
    return (ours.attempt if ours else label.strip()).casefold() if label else ""


def seconds_of(created_at: str) -> float:
    """A time of the ledger in seconds since the epoch.

    Raises:
        StorageFailed: It is none.
    """
    try:
        return datetime.fromisoformat(created_at).timestamp()
    except ValueError:
        raise StorageFailed("the ledger is damaged: an attempt has no time; bring it back from a copy") from None
