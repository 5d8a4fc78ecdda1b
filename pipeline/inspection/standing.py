"""`status`: what the manifest says: counts, tokens, dollars, failures by cause; and what may have been lost."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from pipeline.ledger import CostBreakdown, LedgerReader
from pipeline.manifest import file as manifest
from pipeline.model import Job, Record
from pipeline.report.failures import RETRY, Failure, RecordCounts, failure_lines
from pipeline.report.recorded import latest, wanted
from pipeline.report.summary import (
    MaybePaid,
    books_dict,
    books_line,
    cost_line,
    maybe_dicts,
    maybe_lines,
    undelivered_lines,
)
from pipeline.run.workspace import job_or_folder, ledger_path
from pipeline.text import grouped, plural, printable


@dataclass(frozen=True, slots=True)
class Cost:
    """What some images have cost, with the answers that brought them no picture.

    Attributes:
        tokens: Tokens, as far as the answers gave them.
        usd: Dollars, as far as the answers gave them.
        unknown: Images whose answers gave no cost.
        images: Images that were paid for.
    """

    tokens: int = 0
    usd: float = 0.0
    unknown: int = 0
    images: int = 0

    def plus(self, record: Record) -> "Cost":
        """This and the cost of one image more."""
        known = record.tokens_used is not None or record.usd is not None
        paid = known or record.client_request_id is not None
        return Cost(
            self.tokens + (record.tokens_used or 0),
            round(self.usd + (record.usd or 0.0), 9),
            self.unknown + (paid and not known),
            self.images + paid,
        )

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON can hold it; what no answer gave is null."""
        unknown = bool(self.images) and self.unknown == self.images
        return {
            "tokens_used": None if unknown else self.tokens,
            "usd": None if unknown else self.usd,
            "images": self.images,
            "unknown_cost": self.unknown,
        }


@dataclass(slots=True)
class Status:
    """What a manifest says.

    Attributes:
        images: Images that the job wants; where only its folder is known, images that the manifest speaks of.
        saved: Images that are there.
        bytes: Their size together.
        tokens_used: What the images cost that were paid for; none of it in a sandbox.
        usd: The same in dollars, as far as the answers gave them.
        cost: The same, with the images of which it is unknown.
        sandbox_cost: What the images that a sandbox made would have cost.
        failed: Images that are not there, by cause; `pending` ones are not counted here.
        failures: The first of them, by name.
        pending: Images that have not been asked for yet.
        not_in_job: Images that the manifest speaks of and the job does not.
        broken_lines: Lines that are no records.
        unfinished: A run is under way, or was killed: more images may be wanted than the manifest speaks of yet.
        maybe_billed: By the ledger: attempts of any run that may have been billed without an answer.
        lost: By the ledger: attempts of any run that were billed without an answer that can be used.
        accepted: By the ledger: attempts that an asynchronous API has taken in, and whose pictures were never had.
        unanswered: By the ledger: attempts that were sent and have no outcome yet: a run is at work, or was killed.
        books: By the ledger: what the attempts of all runs have cost; of those in a sandbox, nothing.
        sandbox_books: The same of the runs that a sandbox answered: nothing was billed in them.
    """

    manifest: str
    images: int = 0
    saved: int = 0
    bytes: int = 0
    cost: Cost = field(default_factory=Cost)
    sandbox_cost: Cost = field(default_factory=Cost)
    failed: dict[str, int] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    pending: int = 0
    not_in_job: int = 0
    broken_lines: int = 0
    unfinished: bool = False
    maybe_billed: tuple[MaybePaid, ...] = ()
    lost: tuple[MaybePaid, ...] = ()
    accepted: tuple[MaybePaid, ...] = ()
    unanswered: tuple[MaybePaid, ...] = ()
    books: CostBreakdown = field(default_factory=CostBreakdown)
    sandbox_books: CostBreakdown = field(default_factory=CostBreakdown)

    @property
    def tokens_used(self) -> int:
        """Tokens that the images cost which were paid for."""
        return self.cost.tokens

    @property
    def usd(self) -> float:
        """Dollars that they cost, as far as the answers gave them."""
        return self.cost.usd

    def as_dict(self) -> dict[str, Any]:
        """The status as JSON can hold it."""
        found = {name: getattr(self, name) for name in self.__slots__}
        cost = self.cost.as_dict()
        return {
            **found,
            "tokens_used": cost["tokens_used"],
            "usd": cost["usd"],
            "cost": cost,
            "sandbox_cost": self.sandbox_cost.as_dict(),
            "failures": [failure.as_dict() for failure in self.failures],
            "maybe_billed": maybe_dicts(self.maybe_billed),
            "lost": maybe_dicts(self.lost),
            "accepted": maybe_dicts(self.accepted),
            "unanswered": maybe_dicts(self.unanswered),
            "books": books_dict(self.books),
            "sandbox_books": books_dict(self.sandbox_books),
        }

    def lines(self, retry: str = RETRY) -> list[str]:
        """The status as a person reads it; `retry` is the command that asks again for what failed for good."""
        images = plural(self.images, "image") + (" so far" if self.unfinished else "")
        lines = [f"{printable(self.manifest)}: {grouped(self.saved)} of {images} saved, {self.bytes / 1e6:,.1f} MB"]
        lines += self._cost_lines()
        lines += failure_lines(self.failed, self.failures, retry)
        if self.pending:
            lines.append(f"  {plural(self.pending, 'image')} not made yet")
        if self.not_in_job:
            lines.append(f"  {plural(self.not_in_job, 'more image')} in the manifest, no longer in the job")
        lines += maybe_lines(self.lost, "billed without an answer that can be used")
        lines += maybe_lines(self.maybe_billed)
        lines += maybe_lines(self.accepted, "accepted by an asynchronous API, without a picture so far")
        lines += maybe_lines(self.unanswered, "without an answer yet (a run is at work, or was killed)")
        lines += undelivered_lines(self.books)
        if self.broken_lines:
            lines.append(f"  {plural(self.broken_lines, 'line')} can't be read; the next run writes the manifest anew")
        return lines

    def _cost_lines(self) -> Iterator[str]:
        """Real money first; what a sandbox counted stands apart, and is never added to it."""
        if self.cost.images or not self.sandbox_cost.images:
            what = cost_line(self.cost.tokens, self.cost.usd, self.cost.unknown, self.cost.images, of="image")
            yield f"  cost of these images, with failed tries: {what}"
        if self.sandbox_cost.images:
            cost = self.sandbox_cost
            what = cost_line(cost.tokens, cost.usd, cost.unknown, cost.images, sandbox=True, of="image")
            yield f"  made by a sandbox: {plural(cost.images, 'image')}, {what}"
        if self.books.billed:
            yield f"  all runs, of images that left the job too: {books_line(self.books)}"
        if self.sandbox_books.billed:
            yield f"  all runs: {books_line(self.sandbox_books, sandbox=True)}"


def status(source: Job | str | PathLike[str]) -> Status:
    """What the manifest of a job says.

    Args:
        source: The job, the path of its file, or that of its output folder. Without the job, what it wants is taken
            to be what the manifest speaks of.

    Raises:
        UsageError: There is no manifest yet, or the job file is wrong.
        StorageFailed: Something can't be read.
    """
    job, output = job_or_folder(source)
    path = output / manifest.NAME
    records, broken = latest(path)
    found = Status(str(path), broken_lines=broken)
    with LedgerReader(ledger_path(output, job.state_dir if job else None)) as ledger:
        found.maybe_billed = tuple(MaybePaid.of(attempt) for attempt in ledger.ever_maybe_billed())
        found.lost = tuple(MaybePaid.of(attempt) for attempt in ledger.lost())
        found.accepted = tuple(MaybePaid.of(attempt) for attempt in ledger.in_state("accepted"))
        found.unanswered = tuple(MaybePaid.of(attempt) for attempt in ledger.in_state("intent"))
        found.books, found.sandbox_books = ledger.books(sandbox=False), ledger.books(sandbox=True)
        found.unfinished = job is None and ledger.killed_runs() > 0
        _count(found, wanted(job, records), ledger)
    found.not_in_job = len(records)
    return found


def _count(found: Status, records: Iterator[Record | None], ledger: LedgerReader) -> None:
    outcome, played = RecordCounts(), ledger.sandbox_runs()
    for record in records:
        found.images += 1
        if record is None:
            found.pending += 1
            continue
        outcome.add(record)
        found.bytes += record.bytes or 0 if record.status == "saved" else 0
        if _is_played(record, ledger, played):
            found.sandbox_cost = found.sandbox_cost.plus(record)
        else:
            found.cost = found.cost.plus(record)
    found.saved, found.failed = outcome.counted["saved"], outcome.failed
    found.pending += outcome.counted["pending"]
    found.failures = tuple(outcome.failures)


def _is_played(record: Record, ledger: LedgerReader, played: frozenset[str]) -> bool:
    """Whether what an image cost was counted by a sandbox."""
    if not played:
        return False
    if record.client_request_id is not None:
        return record.client_request_id.partition(".")[0] in played
    costly = record.tokens_used is not None or record.usd is not None
    return costly and all(attempt.run in played for attempt in ledger.attempts(record.key, answers=False))
