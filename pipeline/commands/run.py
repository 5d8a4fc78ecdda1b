"""`run`: make what is missing or changed, and nothing else."""

import asyncio
import os
import secrets
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import anyio

from pipeline import jobfile, manifest, models, settings, view
from pipeline.commands.need import Need
from pipeline.commands.opening import opened, planner, read_again, require_matches
from pipeline.commands.stopping import watch_signals
from pipeline.commands.summary import MaybePaid, Summary
from pipeline.commands.unchanged import remember
from pipeline.errors import StopRun, StorageFailed
from pipeline.gate import Gate, GateClosed
from pipeline.ledger import Attempt, Books, ImageRow, Ledger, LedgerReader
from pipeline.model import Claim, Doubt, Item, Job, Record, Request
from pipeline.plan import Planner, Selection, requests
from pipeline.progress import Progress
from pipeline.store import Store

if TYPE_CHECKING:
    from pipeline.produce import Producer


@dataclass(frozen=True, slots=True)
class Rename:
    """A sound file that must bear another name."""

    item: Item
    row: ImageRow


Work = Request | Claim | Doubt | Rename


@dataclass(slots=True)
class Run:
    """One run of one job, from its lock to its summary.

    Attributes:
        job: The job.
        selection: Which part of it.
        endpoint: Where requests go.
        progress: Shows how it goes.
        on_record: Told of each image as soon as it is done.
        environ: Where the base URL was looked up.
    """

    job: Job
    selection: Selection
    endpoint: settings.Endpoint
    progress: Callable[[int], Progress]
    on_record: Callable[[Record], None] | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}")
    started_at: str = ""
    made: int = 0

    async def __call__(self) -> Summary:
        """Do it.

        Raises:
            StopRun: Nothing could be begun: no key, the folder is locked or can't be written.
        """
        began = time.monotonic()
        self.endpoint.require_key()
        require_matches(self.job, self.selection)
        with opened(self.job) as (store, ledger):
            base = self.endpoint.base_or_sandbox
            plan = planner(self.job, ledger, self.endpoint.base, self.selection)
            need = self._count(plan)
            work = bool(need.images or need.renames or ledger.killed_runs() or ledger.in_doubt(base))
            reason: StopRun | None = None
            summary = self._summary()
            if work:
                network = settings.network(self.environ, self.job.proxy, self.job.user_agent)
                self.endpoint = replace(self.endpoint, network=network)
                self.started_at = view.utc_now()
                ledger.start_run(self.id, self.started_at, self.job.endpoint, base)
                read_again(ledger)
                reason, summary = await self._make(store, ledger, plan, need, summary)
            summary = self._close(store, ledger, plan, summary, reason)
            if work:
                # On a full disk there is still something to tell; the next run then tells of these attempts again.
                with suppress(StorageFailed):
                    ledger.end_run(self.id, view.utc_now(), summary.exit_code)
            if self.selection == Selection() and not ledger.in_doubt(base):
                with suppress(StorageFailed):
                    remember(self.job, ledger, summary, self.environ)
            return replace(summary, seconds=round(time.monotonic() - began, 3))

    def _count(self, plan: Planner) -> Need:
        need = Need(sandbox=self.endpoint.sandbox)
        for decision in plan.decisions(jobfile.expand(self.job)):
            need.add(decision)
        need.expiring.sort(key=lambda pair: pair[0])
        return need

    async def _make(
        self, store: Store, ledger: Ledger, plan: Planner, need: Need, summary: Summary
    ) -> tuple[StopRun | None, Summary]:
        """Do all the work there is; the reason why it ended early, and what it took."""
        # Imported here: a run with nothing to do needs none of it.
        from pipeline.commands.wiring import wire

        gate = Gate()
        with manifest.ManifestLog(self.job.output / manifest.NAME) as log, self.progress(need.images) as progress:

            def record(done: Record) -> None:
                log.append(done)
                self._tick(done, progress)

            async with AsyncExitStack() as stack:
                limits = self.job.limits
                producer = await wire(
                    self.id, limits, need.tokens, self.endpoint, store, ledger, gate, record, progress.note, stack
                )
                plan = replace(plan, base=producer.asker.base)
                async with anyio.create_task_group() as group:
                    group.start_soon(watch_signals, gate, group.cancel_scope, limits.grace, progress.note)
                    await self._prepare(producer, store, ledger, need, gate)
                    await self._produce(producer, self._work(plan, need, gate), gate)
                    group.cancel_scope.cancel()
        tally = producer.asker.tally
        return gate.reason, replace(
            summary,
            requests=tally.requests,
            tokens_used=tally.tokens,
            usd=round(tally.usd, 9),
            unknown_cost=tally.unknown_cost,
            absurd_cost=tally.absurd_cost,
            not_remade=producer.not_remade,
            renamed=producer.names.renamed,
        )

    async def _prepare(self, producer: "Producer", store: Store, ledger: Ledger, need: Need, gate: Gate) -> None:
        """Before anything is paid for: settle what earlier runs left, count what they spent, check what is needed."""
        from pipeline.commands.preflight import preflight

        settler, limits = producer.settler, self.job.limits
        try:
            with gate.waiting():
                await preflight(need, limits, store, ledger, settler.lookup.account, producer.asker.budget)
                await settler.lookup.catch_up(settler.settle)
            if limits.budget_window is not None:
                since = view.utc(time.time() - limits.budget_window)
                producer.asker.budget.begin(ledger.spent_since(since, sandbox=self.endpoint.sandbox))
        except GateClosed:
            return
        except StopRun as reason:
            gate.close(reason)

    async def _produce(self, producer: "Producer", work: Iterator[Work], gate: Gate) -> None:
        """Do all the work, and what comes of its doubts."""
        from pipeline.pool import run_pool

        workers = self.job.limits.concurrency + self.job.limits.downloads
        async with anyio.create_task_group() as group:
            group.start_soon(producer.settling)
            await run_pool(workers, work, _doing(producer, gate), is_open=lambda: gate.reason is None)
            producer.settler.close()
        with suppress(GateClosed), gate.waiting():
            await producer.settler.lookup.check_again()

    def _work(self, plan: Planner, need: Need, gate: Gate) -> Iterator[Work]:
        """All there is to do, decided item by item as workers come free; what makes that impossible ends the run."""
        try:
            yield from self._decided(plan, need)
        except StopRun as reason:
            gate.close(reason)

    def _decided(self, plan: Planner, need: Need) -> Iterator[Work]:
        first = [claim for _, claim in need.expiring]
        begun = {(claim.item.key, claim.index) for claim in first}
        yield from first
        for decision in plan.decisions(need.of(jobfile.expand(self.job))):
            item = decision.item
            for row in decision.rename:
                yield Rename(item, row)
            yield from (claim for claim in decision.fetch if (item.key, claim.index) not in begun)
            yield from decision.doubts
            yield from requests(decision, models.of(item.model).max_images)

    def _tick(self, done: Record, progress: Progress) -> None:
        if done.status == "saved":
            self.made += 1
            progress.saved(done.tokens_used)
        else:
            progress.failed()
        if self.on_record:
            self.on_record(done)

    def _close(self, store: Store, ledger: Ledger, plan: Planner, summary: Summary, reason: StopRun | None) -> Summary:
        """Write the manifest as it is to stay, and count what it says."""
        counted: Counter[str] = Counter()
        moved = _moved(store)
        # What this run has seen of the files is enough, if it was about all; what can't be looked at is as it was.
        by_ledger = moved or (reason is None and not self.selection.only and self.selection.limit is None)

        def counting() -> Iterator[Record]:
            absent = frozenset() if by_ledger else plan.absent(jobfile.expand(self.job))
            for record in view.manifest(jobfile.expand(self.job), ledger, absent):
                counted[record.cause or record.status] += 1
                yield record

        try:
            if moved:
                raise moved
            manifest.write(self.job.output / manifest.NAME, counting())
        except StopRun as error:
            reason = reason or error
            counted.clear()
            # What can still be told is told, even of a job or a ledger that can no longer be read to its end.
            with suppress(StopRun):
                deque(counting(), maxlen=0)
        failed = {cause: n for cause, n in sorted(counted.items()) if cause not in ("saved", "pending")}
        return replace(
            summary,
            images=counted.total(),
            saved=counted["saved"],
            made=self.made,
            failed=failed,
            pending=counted["pending"],
            maybe_billed=_told(ledger, LedgerReader.maybe_billed),
            lost=_told(ledger, lambda found: found.lost(since=self.started_at)) if self.started_at else (),
            books=_books(ledger, self.id),
            reason=str(reason) if reason else None,
            exit_code=reason.exit_code if reason else int(bool(failed or summary.not_remade)),
        )

    def _summary(self) -> Summary:
        return Summary(
            job=self.job.name,
            endpoint=self.job.endpoint,
            output=str(self.job.output),
            manifest=str(self.job.output / manifest.NAME),
        )


def run(
    job: Job,
    *,
    selection: Selection | None = None,
    environ: Mapping[str, str] | None = None,
    progress: Callable[[int], Progress] | None = None,
    on_record: Callable[[Record], None] | None = None,
) -> Summary:
    """Make what the job is missing. See `run_async`; this one starts an event loop of its own."""
    call = partial(run_async, selection=selection, environ=environ, progress=progress, on_record=on_record)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return anyio.run(call, job)
    raise RuntimeError("run() starts an event loop of its own; inside one, use: await run_async(job)")


async def run_async(
    job: Job,
    *,
    selection: Selection | None = None,
    environ: Mapping[str, str] | None = None,
    progress: Callable[[int], Progress] | None = None,
    on_record: Callable[[Record], None] | None = None,
) -> Summary:
    """Make what the job is missing, and nothing else.

    Args:
        job: The job, from `load_job`.
        selection: Which part of it; all by default.
        environ: Where the key and the base URL are looked up; the process's environment by default.
        progress: Makes the display for a number of images; silent by default.
        on_record: Called with the manifest record of each image as soon as it is saved or has failed.

    Returns:
        What the run came to; `exit_code` is 0 when every image is there. A run that had begun and must stop says so
        there, in `exit_code` and `reason`.

    Raises:
        StopRun: It could not begin: no key, the folder is locked or can't be written.
    """
    environ = os.environ if environ is None else environ
    endpoint = settings.resolve(job.endpoint, environ)
    quiet = progress or (lambda total: Progress(total, mode="quiet"))
    try:
        return await Run(job, selection or Selection(), endpoint, quiet, on_record, environ)()
    except BaseExceptionGroup as group:
        # What the caller's own `on_record` raised, as it was raised.
        raise first_of(group) from None


def first_of(error: BaseException) -> BaseException:
    """The exception at the bottom of nested groups, which task groups make of any."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _moved(store: Store) -> StorageFailed | None:
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


def _books(ledger: Ledger, run: str) -> Books:
    with suppress(StorageFailed):
        return ledger.books(run=run)
    return Books()


def _doing(producer: "Producer", gate: Gate) -> Callable[[Work], Awaitable[None]]:
    """Does one piece of work, whatever kind it is."""

    async def do(work: Work) -> None:
        if isinstance(work, Request):
            await producer.request(work)
        elif isinstance(work, Claim):
            await producer.claim(work)
        elif isinstance(work, Doubt):
            producer.settler.park(work)
        else:
            try:
                await producer.names.rename(work.item, work.row)
            except StopRun as reason:
                gate.close(reason)

    return do
