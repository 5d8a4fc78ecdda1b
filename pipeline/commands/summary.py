"""What a run has come to, for people and for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.charges import Unrecorded
from pipeline.errors import GiveUp
from pipeline.ledger import Attempt, Books
from pipeline.model import CREDITS_PER_USD
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
        made: Images that this run saved.
        renamed: Files that this run gave the name that the job wants now.
        failed: Images that are not there, by cause; `pending` ones are not counted here.
        pending: Images that have not been asked for yet.
        requests: Requests that this run sent.
        tokens_used: Tokens that this run paid.
        usd: Dollars that this run paid, as far as the answers said.
        unknown_cost: Paid answers that did not say their cost.
        absurd_cost: Paid answers that named a cost nobody can believe; they count at list price.
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
    renamed: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    pending: int = 0
    requests: int = 0
    tokens_used: int = 0
    usd: float = 0.0
    unknown_cost: int = 0
    absurd_cost: int = 0
    not_remade: int = 0
    maybe_billed: tuple[MaybePaid, ...] = ()
    lost: tuple[MaybePaid, ...] = ()
    books: Books = field(default_factory=Books)
    unrecorded: Unrecorded | None = None
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The summary as JSON can hold it."""
        found = {name: getattr(self, name) for name in self.__slots__}
        found["failed"] = dict(self.failed)
        found["maybe_billed"] = maybe_dicts(self.maybe_billed)
        found["lost"] = maybe_dicts(self.lost)
        found["books"] = books_dict(self.books)
        found["unrecorded"] = self.unrecorded.as_dict() if self.unrecorded else None
        return found

    def lines(self) -> list[str]:
        """The summary as a person reads it."""
        unchanged = max(0, self.saved - self.made)  # what was made now may have been removed since
        head = f"{self.job}: {grouped(self.saved)} of {plural(self.images, 'image')} there"
        parts = [f"{grouped(self.made)} made now", f"{grouped(unchanged)} unchanged"]
        if self.renamed:
            parts.append(f"{grouped(self.renamed)} renamed")
        cost = usd(self.usd)
        if self.endpoint == SANDBOX:
            cost = f"no cost (at the real API {cost})" if self.usd else "no cost"
        spent = f"{plural(self.requests, 'request')}, {grouped(self.tokens_used)} tokens, {cost}"
        lines = [f"{head} ({', '.join(parts)})", f"  {spent}, {duration(self.seconds)}, via {self.endpoint}"]
        if self.unknown_cost:
            lines.append(f"  {plural(self.unknown_cost, 'paid answer')} did not say what they cost")
        if self.absurd_cost:
            lines.append(
                f"  {plural(self.absurd_cost, 'paid answer')} named a cost nobody can believe: list price taken"
            )
        lines += [
            f"  failed: {grouped(n)} {cause} — {GiveUp.CAUSES.get(cause, cause)}" for cause, n in self.failed.items()
        ]
        if self.not_remade:
            lines.append(f"  {plural(self.not_remade, 'image')} could not be made again; the old ones are still there")
        if self.pending:
            lines.append(f"  {plural(self.pending, 'image')} not made yet")
        lines += maybe_lines(self.lost, "billed without an answer that can be used")
        lines += maybe_lines(self.maybe_billed)
        lines += undelivered_lines(self.books)
        if self.books.billed:
            lines.append(f"  {books_line(self.books)}")
        if self.unrecorded:
            lines.append(f"  {self.unrecorded.said()}")
        lines.append(f"  manifest: {printable(self.manifest)}")
        return lines


def books_line(books: Books) -> str:
    """What was billed, by what became of it, as a person reads it: an equation that must hold."""
    names = ("delivered", *(("undelivered",) if books.undelivered else ()), "filtered", "lost", "unresolved")
    parts = (f"{grouped(getattr(books, name))} {name}" for name in names)
    return f"billed: {grouped(books.billed)} tokens = {' + '.join(parts)}"


def books_dict(books: Books) -> dict[str, int]:
    """The same as JSON can hold it."""
    names = ("delivered", "undelivered", "filtered", "lost", "unresolved", "billed")
    return {name: getattr(books, name) for name in names}


def undelivered_lines(books: Books) -> list[str]:
    """Pictures that are paid for and were never fetched, as a person reads it."""
    if not books.undelivered:
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
