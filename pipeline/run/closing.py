"""The end of a run: the manifest as it is to stay, and what it says."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.errors import StopRun, StorageFailed
from pipeline.ledger import Attempt, CostBreakdown, Ledger, LedgerReader
from pipeline.manifest import file as manifest
from pipeline.manifest import records
from pipeline.model import Record
from pipeline.output.local import LedgerGone, OutputFolder
from pipeline.plan.planner import Planner
from pipeline.report.failures import RecordCounts
from pipeline.report.summary import MaybePaid, Summary

if TYPE_CHECKING:
    from pipeline.run.session import Run


def close(
    run: "Run", store: OutputFolder, ledger: Ledger, plan: Planner, summary: Summary, reason: StopRun | None
) -> Summary:
    """Write the manifest, and give the summary with what it says. `reason`: why the run ended early, or None."""
    outcome = RecordCounts(run.selection, run.counters.tried)
    moved = _moved(store)
    if isinstance(moved, LedgerGone):
        reason = moved  # whatever else ended the run: this is what must be seen to before the next one
    # What this run has seen of the files is enough, if it was about all; what was moved away is as it was.
    all_seen = reason is None and not run.selection.only and run.selection.limit is None
    by_ledger = (moved and moved is not reason) or all_seen

    def counting() -> Iterator[Record]:
        absent = frozenset() if by_ledger else plan.absent(iter(run.job.wanted))
        for record in records.manifest(run.job.wanted, ledger, absent):
            outcome.add(record)
            yield record

    try:
        if moved:
            raise moved
        manifest.write(run.job.output / manifest.NAME, counting())
    except StopRun as error:
        reason = reason or error
        outcome.clear()
        # What can still be told is told, even of a job or a ledger that can no longer be read to its end.
        with suppress(StopRun):
            deque(counting(), maxlen=0)
    books = _books(ledger, run.id)
    return replace(
        summary,
        images=outcome.counted.total(),
        saved=outcome.counted["saved"],
        made=run.counters.saved - run.fetched,
        fetched=run.fetched,
        failed=outcome.failed,
        selected_failed=dict(sorted(outcome.selected.items())),
        failures=tuple(outcome.failures),
        pending=outcome.counted["pending"],
        maybe_billed=_told(ledger, LedgerReader.maybe_billed),
        lost=_told(ledger, lambda found: found.lost(run=run.id)),
        books=books,
        sandbox=run.endpoint.sandbox or bool(books.answers and _books(ledger, run.id, sandbox=True).answers),
        reason=str(reason) if reason else None,
        exit_code=reason.exit_code if reason else int(bool(outcome.missing or summary.not_remade)),
    )


def _moved(store: OutputFolder) -> StorageFailed | None:
    """The error, where the output folder is no longer in its place."""
    try:
        store.check_place()
    except StorageFailed as error:
        return error
    return None


def _told(ledger: Ledger, attempts: Callable[[LedgerReader], Sequence[Attempt]]) -> tuple[MaybePaid, ...]:
    """Attempts as the summary tells of them; none where the ledger, as the reason then says, can't be read."""
    with suppress(StorageFailed):
        return tuple(MaybePaid.of(attempt) for attempt in attempts(ledger))
    return ()


def _books(ledger: Ledger, run: str, *, sandbox: bool | None = None) -> CostBreakdown:
    with suppress(StorageFailed):
        return ledger.books(run=run, sandbox=sandbox)
    return CostBreakdown()
