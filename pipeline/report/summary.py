"""What a run has come to, for people and for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.ledger import Attempt, CostBreakdown
from pipeline.model import CREDITS_PER_USD
from pipeline.report.charges import Unrecorded
from pipeline.report.failures import RETRY, Failure, failure_lines
from pipeline.settings import SANDBOX
from pipeline.text import duration, grouped, plural, printable, usd

MAYBE_SHOWN = 10
"""Attempts that may have been billed which a person is shown one by one."""


@dataclass(frozen=True, slots=True)
class MaybePaid:
    """An attempt that may have been billed without an answer.

    Attributes:
        client_request_id: What it was sent as; the provider's own log knows it by this.
        item: Id of the item it was for.
        tokens: What it cost in tokens, or else its list price; None where unknown.
        error: What happened to it.
    """

    client_request_id: str
    item: str
    tokens: int | None
    error: str | None

    @classmethod
    def of(cls, attempt: Attempt) -> "MaybePaid":
        """The same of an attempt in the ledger."""
        tokens = attempt.price if attempt.tokens is None else attempt.tokens
        return cls(attempt.id, attempt.item, tokens, attempt.error)


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of a run.

    Attributes:
        job: The job's name.
        endpoint: Where the requests went.
        output: The output folder.
        manifest: The manifest's path.
        exit_code: What the program exits with.
        reason: Why the run ended early, or None.
        images: Images that the job wants.
        saved: Images that are there, whole.
        made: Images that this run saved for the first time.
        fetched: Images that this run only brought back: an earlier one had paid for them and saved them.
        renamed: Files that this run gave the name that the job wants now.
        failed: Images that are not there, by cause; `pending` ones are not counted here.
        selected_failed: Of these, the ones that the selection chose: all of them, where there was none.
        failures: The first of those, by name.
        pending: Images that have not been asked for yet.
        sandbox: Whether a sandbox answered: nothing was paid.
        requests: Requests that this run sent.
        tokens_used: Tokens that this run paid.
        usd: Dollars that this run paid, as far as the answers said.
        unknown_cost: Paid answers that gave no cost; how many there were says `books.answers`.
        absurd_cost: Paid answers that gave an implausible cost; they count at list price.
        not_remade: Images that --force asked for again in vain; the old ones are still there.
        maybe_billed: Attempts of this run, or of one that was killed before it, that may have been billed.
        lost: Attempts found in this run to have been billed without an answer that can be used.
        books: What this run's attempts have cost.
        unrecorded: Charges for this job's images, made before this run, that the ledger does not know.
        seconds: How long the run took.
    """

    job: str
    endpoint: str
    output: str
    manifest: str
    exit_code: int = 0
    reason: str | None = None
    images: int = 0
    saved: int = 0
    made: int = 0
    fetched: int = 0
    renamed: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    selected_failed: Mapping[str, int] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    pending: int = 0
    sandbox: bool = False
    requests: int = 0
    tokens_used: int = 0
    usd: float = 0.0
    unknown_cost: int = 0
    absurd_cost: int = 0
    not_remade: int = 0
    maybe_billed: tuple[MaybePaid, ...] = ()
    lost: tuple[MaybePaid, ...] = ()
    books: CostBreakdown = field(default_factory=CostBreakdown)
    unrecorded: Unrecorded | None = None
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The summary as JSON can hold it; a cost that no answer gave is null."""
        found = {name: getattr(self, name) for name in self.__slots__}
        if self._cost_is_unknown():
            found |= {"tokens_used": None, "usd": None}
        found["failed"] = dict(self.failed)
        found["selected_failed"] = dict(self.selected_failed)
        found["failures"] = [failure.as_dict() for failure in self.failures]
        found["maybe_billed"] = maybe_dicts(self.maybe_billed)
        found["lost"] = maybe_dicts(self.lost)
        found["books"] = books_dict(self.books)
        found["unrecorded"] = self.unrecorded.as_dict() if self.unrecorded else None
        return found

    def lines(self, retry: str = RETRY) -> list[str]:
        """The summary as a person reads it; `retry` is the command that asks again for what failed for good."""
        lines = [
            f"{self._head()} ({', '.join(self._parts())})",
            f"  {plural(self.requests, 'request')}, {self._cost()}, {duration(self.seconds)}, via {self.endpoint}",
        ]
        if self.absurd_cost:
            lines.append(
                f"  {plural(self.absurd_cost, 'paid answer')} gave an implausible cost: the list price was taken"
            )
        lines += self._trouble(retry)
        if self.books.billed:
            lines.append(f"  {books_line(self.books, sandbox=self._in_sandbox())}")
        lines.append(f"  manifest: {printable(self.manifest)}")
        return lines

    def trouble(self, retry: str = RETRY) -> list[str]:
        """What has gone wrong, and what helps; nothing where nothing has."""
        found = self._trouble(retry)
        strange = self.unrecorded and self.unrecorded.requests
        wrong = self.selected_failed or self.not_remade or self.lost or self.maybe_billed or strange
        return [self._head(), *found] if wrong else []

    def _head(self) -> str:
        return f"{self.job}: {grouped(self.saved)} of {plural(self.images, 'image')} there"

    def _parts(self) -> list[str]:
        unchanged = max(0, self.saved - self.made - self.fetched)  # what was made now may have been removed since
        parts = [f"{grouped(self.made)} made now"]
        if self.fetched:
            parts.append(f"{grouped(self.fetched)} fetched again")
        parts.append(f"{grouped(unchanged)} unchanged")
        if self.renamed:
            parts.append(f"{grouped(self.renamed)} renamed")
        return parts

    def _trouble(self, retry: str) -> list[str]:
        lines = failure_lines(self.selected_failed, self.failures, retry)
        if others := sum(self.failed.values()) - sum(self.selected_failed.values()):
            lines.append(f"  {plural(others, 'image')} failed in an earlier run and left alone; `status` names them")
        if self.not_remade:
            lines.append(f"  {plural(self.not_remade, 'image')} could not be made again; the old ones are still there")
        if self.pending:
            lines.append(f"  {plural(self.pending, 'image')} not made yet")
        lines += maybe_lines(self.lost, "billed without an answer that can be used")
        lines += maybe_lines(self.maybe_billed)
        lines += undelivered_lines(self.books, sandbox=self._in_sandbox())
        return [*lines, f"  {self.unrecorded.said()}"] if self.unrecorded else lines

    def _in_sandbox(self) -> bool:
        return self.sandbox or self.endpoint == SANDBOX

    def _cost_is_unknown(self) -> bool:
        """Whether there were paid answers, and none of them gave a cost."""
        return bool(self.unknown_cost) and not self.tokens_used and not self.usd

    def _cost(self) -> str:
        return cost_line(self.tokens_used, self.usd, self.unknown_cost, self.books.answers, sandbox=self._in_sandbox())


def cost_line(
    tokens: int, dollars: float, unknown: int, answers: int, *, sandbox: bool = False, of: str = "answer"
) -> str:
    """What was paid, as a person reads it; what no answer gave is unknown, never nothing.

    Args:
        tokens: Tokens paid.
        dollars: Dollars paid, as far as the answers gave them; 0 where none did.
        unknown: Paid answers that gave no cost.
        answers: All paid answers.
        sandbox: Whether a sandbox gave them: nothing was paid.
        of: What the answers are counted by.
    """
    parts = []
    if tokens or dollars or not unknown:
        price = usd(dollars or tokens / CREDITS_PER_USD)
        if sandbox:
            price = f"no cost (at the real API {price})" if tokens or dollars else "no cost"
        parts.append(f"{grouped(tokens)} tokens, {price}")
    if unknown:
        parts.append(f"cost unknown for {grouped(unknown)} of {plural(max(unknown, answers), of)}")
    return "; ".join(parts)


def books_line(books: CostBreakdown, *, sandbox: bool = False) -> str:
    """What was billed, by what became of it, as a person reads it: an equation that must hold."""
    names = ("delivered", *(("undelivered",) if books.undelivered else ()), "filtered", "lost", "unresolved")
    parts = (f"{grouped(getattr(books, name))} {name}" for name in names)
    unknown = f"cost unknown for {grouped(books.unknown_cost)} of {plural(books.answers, 'answer')}: list price taken"
    listed = f"; {unknown}" if books.unknown_cost else ""
    what = "sandbox, nothing billed" if sandbox else "billed"
    return f"{what}: {grouped(books.billed)} tokens = {' + '.join(parts)}{listed}"


def books_dict(books: CostBreakdown) -> dict[str, int]:
    """The same as JSON can hold it."""
    names = ("delivered", "undelivered", "filtered", "lost", "unresolved", "billed", "answers", "unknown_cost")
    return {name: getattr(books, name) for name in names}


def undelivered_lines(books: CostBreakdown, *, sandbox: bool = False) -> list[str]:
    """Pictures that are paid for and were never fetched, as a person reads it; none of it in a `sandbox`."""
    if sandbox or not books.undelivered:
        return []
    money = f"{grouped(books.undelivered)} tokens ({usd(books.undelivered / CREDITS_PER_USD)})"
    return [f"  paid for and not downloaded yet: {money}; the next run fetches it, at no cost"]


def maybe_lines(maybe: Sequence[MaybePaid], what: str = "may have been billed without an answer") -> list[str]:
    """Attempts that brought nothing and cost, or may have cost, their price, as a person reads it."""
    if not maybe:
        return []
    tokens = sum(attempt.tokens or 0 for attempt in maybe)
    lines = [f"  {what}: {plural(len(maybe), 'request')}, {grouped(tokens)} tokens ({usd(tokens / CREDITS_PER_USD)})"]
    lines += [
        f"    {attempt.client_request_id} ({attempt.item}, {grouped(attempt.tokens or 0)} tokens)"
        f"{f': {attempt.error}' if attempt.error else ''}"
        for attempt in maybe[:MAYBE_SHOWN]
    ]
    if len(maybe) > MAYBE_SHOWN:
        lines.append(f"    and {grouped(len(maybe) - MAYBE_SHOWN)} more")
    return lines


def maybe_dicts(maybe: Sequence[MaybePaid]) -> list[dict[str, Any]]:
    """The same as JSON can hold it."""
    return [{name: getattr(attempt, name) for name in MaybePaid.__slots__} for attempt in maybe]
