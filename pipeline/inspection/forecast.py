"""`plan`: what a run would make and why, and what it would cost. It sends nothing and changes nothing."""

import math
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline import job as jobfile
from pipeline import settings
from pipeline.clock import utc
from pipeline.ledger import ImageRow, LedgerReader
from pipeline.limits.budget import cap_of
from pipeline.model import CREDITS_PER_USD, Item, Job
from pipeline.plan.decision import SETTLED, Decision, Reason, Selection
from pipeline.plan.workload import paid_names
from pipeline.providers import catalogue
from pipeline.run.workspace import ledger_path, planner, require_ledger, require_matches
from pipeline.text import grouped, one_line, plural, printable, usd


@dataclass(slots=True)
class Plan:
    """What a run would do.

    Attributes:
        sandbox: Whether it would be made in the sandbox, at no cost.
        reasons: Images by reason.
        requests: Requests it would send, when every answer is whole.
        downloads: Images it would only download: they are paid for.
        tokens: What the requests cost by list price.
        unpriced: Images whose model has no known price; they are not in `tokens`.
        renames: Files that bear another name than the job wants now.
        budget_left: Tokens that the job's own budget leaves for a run, None where it has none.
        unresolved: Requests that may have been, or were, billed without an answer.
        orphans: Files that an earlier run saved and nothing in the job is to take the place of.
        displaced: Pictures that were paid for and whose names a sandbox's placeholders would take.
        unused_columns: For each included file that has columns which nothing uses, these.
    """

    job: str
    sandbox: bool = False
    reasons: Counter[Reason] = field(default_factory=Counter)
    requests: int = 0
    downloads: int = 0
    tokens: int = 0
    unpriced: int = 0
    renames: int = 0
    budget_left: int | None = None
    unresolved: int = 0
    orphans: list[str] = field(default_factory=list)
    displaced: int = 0
    unused_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, decision: Decision) -> None:
        """Count one item's decision."""
        self.reasons.update(decision.reasons.values())
        self.downloads += len(decision.fetch)
        self.unresolved += len(decision.unresolved)
        self.renames += len(decision.rename)
        if not decision.ask:
            return
        model = catalogue.of(decision.item.model)
        self.requests += math.ceil(len(decision.ask) / model.max_images)
        if model.price is None:
            self.unpriced += len(decision.ask)
        else:
            self.tokens += model.price * len(decision.ask)

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON can hold it."""
        return {
            "job": self.job,
            "reasons": {str(reason): n for reason, n in self.reasons.items()},
            "requests": self.requests,
            "downloads": self.downloads,
            "tokens": self.tokens,
            "usd": self.tokens / CREDITS_PER_USD,
            "unpriced": self.unpriced,
            "renames": self.renames,
            "budget_left": self.budget_left,
            "unresolved": self.unresolved,
            "orphans": self.orphans,
            "displaced": self.displaced,
            "unused_columns": {file: list(columns) for file, columns in self.unused_columns.items()},
        }

    def lines(self) -> Iterator[str]:
        """The plan's totals as a person reads them."""
        counts = ", ".join(f"{grouped(n)} {reason}" for reason, n in self.reasons.most_common())
        yield f"{self.job}: {plural(self.reasons.total(), 'image')}: {counts}"
        if self.unresolved:
            requests = plural(self.unresolved, "request")
            yield f"  a run would first find out whether {requests} without an answer were billed"
        if self.requests or self.downloads:
            yield f"  a run would send {plural(self.requests, 'request')} ({self._price()})"
            if self.unpriced and self.tokens:
                yield f"  without a known price, and not in that sum: {plural(self.unpriced, 'image')}"
            if self.budget_left is not None and self.tokens > self.budget_left:
                left = f"{grouped(self.budget_left)} tokens ({usd(self.budget_left / CREDITS_PER_USD)})"
                yield f"  the budget leaves {left} for that: a run would stop there"
            if self.downloads:
                yield f"  and download {plural(self.downloads, 'image')} already paid for"
        elif not self.unresolved:
            yield "  a run would send nothing"
        if self.displaced:
            paid = plural(self.displaced, "picture")
            yield f"  a run would stop: placeholders would take the names of {paid} that were paid for (--placeholders)"
        if self.renames:
            yield f"  and rename {plural(self.renames, 'file')}"
        for orphan in self.orphans[:20]:
            yield f"  orphaned (no longer in the job): {printable(orphan)}"
        if len(self.orphans) > 20:
            yield f"  and {grouped(len(self.orphans) - 20)} more orphaned"
        for file, columns in self.unused_columns.items():
            yield f"  columns of {printable(file)} that nothing uses: {one_line(', '.join(columns), 200)}"

    def _price(self) -> str:
        if self.unpriced and not self.tokens:
            return "no cost in the sandbox, no list price known" if self.sandbox else "no list price known"
        dollars = f"{usd(self.tokens / CREDITS_PER_USD)} at list price"
        cost = f"no cost in the sandbox, {dollars} at the real API" if self.sandbox else dollars
        return f"{grouped(self.tokens)} tokens, {cost}"


class _Wanted:
    """Which images the job has, by key or by name; only hashes of them, so that a long job fits into memory."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._counts: dict[int, int] = {}

    def add(self, item: Item) -> None:
        """Remember an item."""
        for name in (hash(item.id), int(item.key[:16], 16)):
            self._known.add(name)
            if item.count > 1:
                self._counts[name] = item.count

    def covers(self, row: ImageRow) -> bool:
        """Whether the image is one of the job's, or has the name of one."""
        names = (hash(row.item), int(row.key[:16], 16))
        return any(name in self._known and row.idx < self._counts.get(name, 1) for name in names)


def plan(
    job: Job, environ: Mapping[str, str] | None = None, selection: Selection | None = None
) -> Iterator[Decision | Plan]:
    """Every decision in the job's order, and last the plan they add up to. Needs no key.

    Args:
        job: The job, from `load_job`.
        environ: Where the base URL is looked up; the process's environment by default.
        selection: Which part of the job; all by default.

    Raises:
        StorageFailed: The ledger can't be read.
        UsageError: A pattern of the selection matches nothing.
    """
    selection = selection or Selection()
    endpoint = settings.resolve(job.endpoint, os.environ if environ is None else environ)
    total = Plan(job.name, endpoint.sandbox, unused_columns=job.unused_columns)
    require_matches(job, selection)
    require_ledger(job)
    wanted = _Wanted()
    with LedgerReader(ledger_path(job.output, job.state_dir)) as ledger:
        total.budget_left = _budget_left(job, ledger, endpoint.base_or_sandbox)
        for decision in planner(job, ledger, endpoint, selection).decisions(jobfile.expand(job)):
            total.add(decision)
            wanted.add(decision.item)
            if endpoint.sandbox and decision.ask:
                total.displaced += sum(1 for _ in paid_names(decision.item, decision.ask, ledger, job.output))
            yield decision
        for row in ledger.saved_images():
            if row.path and not row.path.startswith(".") and not wanted.covers(row):
                total.orphans.append(row.path)
    yield total


def _budget_left(job: Job, ledger: LedgerReader, base: str) -> int | None:
    cap, window = cap_of(job.limits), job.limits.budget_window
    if cap is None or window is None:
        return cap
    return max(0, cap - ledger.spent_since(utc(time.time() - window), base=base))


def decision_lines(decision: Decision) -> Iterator[str]:
    """One line for each reason that an item's images are to be made for."""
    by_reason: dict[Reason, list[int]] = {}
    for index, reason in decision.reasons.items():
        if reason not in SETTLED or reason is Reason.GIVEN_UP:
            by_reason.setdefault(reason, []).append(index)
    for reason, indexes in by_reason.items():
        images = f" x{len(indexes)}" if len(indexes) > 1 else ""
        yield f"  {reason}: {decision.item.id}{images}  {one_line(decision.item.prompt, 60)}"
    for old, new in _renames(decision):
        yield f"  renamed: {printable(old)} -> {printable(new)}"


def _renames(decision: Decision) -> Iterator[tuple[str, str]]:
    """The name of each file that a run would rename, and the one it would get."""
    for row in decision.rename:
        if row.path:
            yield row.path, decision.item.stem(row.idx) + row.path[row.path.rindex(".") :]


def decision_dict(decision: Decision) -> dict[str, Any]:
    """A decision as JSON can hold it."""
    item = decision.item
    return {
        "id": item.id,
        "key": item.key,
        "prompt": item.prompt,
        "images": [{"index": index, "reason": str(reason)} for index, reason in decision.reasons.items()],
        "renames": [{"from": old, "to": new} for old, new in _renames(decision)],
    }
