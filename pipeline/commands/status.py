"""`status`: what the manifest says: counts, tokens, dollars, failures by cause; and what may have been lost."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline import manifest
from pipeline.commands.opening import ledger_path
from pipeline.commands.summary import (
    MaybePaid,
    books_dict,
    books_line,
    maybe_dicts,
    maybe_lines,
    undelivered_lines,
)
from pipeline.errors import GiveUp, UsageError
from pipeline.ledger import Books, LedgerReader
from pipeline.model import Record
from pipeline.store import is_there
from pipeline.text import grouped, plural, printable, usd


@dataclass(slots=True)
class Status:
    """What a manifest says.

    Attributes:
        images: Images it speaks of.
        saved: Images that are there.
        bytes: Their size together.
        tokens_used: What all of them cost.
        usd: The same in dollars, as far as the answers said.
        failed: Images that are not there, by cause; `pending` ones are not counted here.
        pending: Images that have not been asked for yet.
        broken_lines: Lines that are no records.
        maybe_billed: By the ledger: attempts of any run that may have been billed without an answer.
        lost: By the ledger: attempts of any run that were billed without an answer that can be used.
        accepted: By the ledger: attempts that an asynchronous API has taken in, and whose pictures were never had.
        unanswered: By the ledger: attempts that were sent and have no outcome yet: a run is at work, or was killed.
        books: By the ledger: what the attempts of all runs have cost.
    """

    manifest: str
    images: int = 0
    saved: int = 0
    bytes: int = 0
    tokens_used: int = 0
    usd: float = 0.0
    failed: Counter[str] = field(default_factory=Counter)
    pending: int = 0
    broken_lines: int = 0
    maybe_billed: tuple[MaybePaid, ...] = ()
    lost: tuple[MaybePaid, ...] = ()
    accepted: tuple[MaybePaid, ...] = ()
    unanswered: tuple[MaybePaid, ...] = ()
    books: Books = field(default_factory=Books)

    def add(self, record: Record) -> None:
        """Count one image."""
        self.images += 1
        self.tokens_used += record.tokens_used or 0
        self.usd += record.usd or 0.0
        if record.status == "saved":
            self.saved += 1
            self.bytes += record.bytes or 0
        elif record.cause == "pending":
            self.pending += 1
        else:
            self.failed[record.cause or "unknown"] += 1

    def as_dict(self) -> dict[str, Any]:
        """The status as JSON can hold it."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {
            **found,
            "failed": dict(self.failed),
            "usd": round(self.usd, 9),
            "maybe_billed": maybe_dicts(self.maybe_billed),
            "lost": maybe_dicts(self.lost),
            "accepted": maybe_dicts(self.accepted),
            "unanswered": maybe_dicts(self.unanswered),
            "books": books_dict(self.books),
        }

    def lines(self) -> list[str]:
        """The status as a person reads it."""
        size = f"{self.bytes / 1e6:,.1f} MB"
        lines = [
            f"{printable(self.manifest)}: {grouped(self.saved)} of {plural(self.images, 'image')} saved, {size}",
            f"  cost of these images: {grouped(self.tokens_used)} tokens, {usd(self.usd)}",
        ]
        lines += [
            f"  failed: {grouped(n)} {cause} — {GiveUp.CAUSES.get(cause, cause)}"
            for cause, n in sorted(self.failed.items())
        ]
        if self.pending:
            lines.append(f"  {plural(self.pending, 'image')} not made yet")
        lines += maybe_lines(self.lost, "billed without an answer that can be used")
        lines += maybe_lines(self.maybe_billed)
        lines += maybe_lines(self.accepted, "accepted by an asynchronous API, without a picture so far")
        lines += maybe_lines(self.unanswered, "without an answer yet (a run is at work, or was killed)")
        lines += undelivered_lines(self.books)
        if self.books.billed:
            lines.append(f"  all runs: {books_line(self.books)}")
        if self.broken_lines:
            lines.append(f"  {plural(self.broken_lines, 'line')} can't be read; the next run writes the manifest anew")
        return lines


def latest(path: Path) -> tuple[dict[tuple[str, int], Record], int]:
    """The last record of each image in a manifest, and how many lines are none.

    Raises:
        UsageError: There is no manifest yet.
        StorageFailed: It can't be read.
    """
    if not is_there(path):
        raise UsageError(f"there is no {path} yet: run the job first")
    records: dict[tuple[str, int], Record] = {}
    broken = 0
    for _, record in manifest.read(path):
        if record is None:
            broken += 1
        else:
            # While a run is writing, an image may have several lines: the last one holds.
            records[record.id, record.index] = record
    return records, broken


def status(output: Path) -> Status:
    """What the manifest in an output folder says.

    Raises:
        UsageError: There is no manifest yet.
        StorageFailed: It can't be read.
    """
    path = output / manifest.NAME
    records, broken = latest(path)
    with LedgerReader(ledger_path(output)) as ledger:
        maybe = tuple(MaybePaid.of(attempt) for attempt in ledger.ever_maybe_billed())
        lost = tuple(MaybePaid.of(attempt) for attempt in ledger.lost())
        accepted = tuple(MaybePaid.of(attempt) for attempt in ledger.in_state("accepted"))
        unanswered = tuple(MaybePaid.of(attempt) for attempt in ledger.in_state("intent"))
        books = ledger.books()
    found = Status(
        str(path),
        broken_lines=broken,
        maybe_billed=maybe,
        lost=lost,
        accepted=accepted,
        unanswered=unanswered,
        books=books,
    )
    for record in records.values():
        found.add(record)
    return found
