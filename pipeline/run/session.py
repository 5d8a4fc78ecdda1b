"""`run`: make what is missing or changed, and nothing else."""

import asyncio
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import anyio

from pipeline import settings
from pipeline.clock import utc_now
from pipeline.errors import StopRun, StorageFailed
from pipeline.events import Listener, PlanChanged, RunEnded, RunStarted, to_all
from pipeline.ledger import Ledger
from pipeline.limits.policy import STANDARD, Policy
from pipeline.limits.stop import RunStopping, StopSignal
from pipeline.listeners.counters import Counters
from pipeline.listeners.manifest_log import appending_to
from pipeline.listeners.on_record import OnRecord, RecordCaller
from pipeline.listeners.progress import Progress
from pipeline.manifest import file as manifest
from pipeline.model import Job, PaidImage, Request, UnresolvedAttempt
from pipeline.output.local import OutputFolder
from pipeline.plan.decision import Selection
from pipeline.plan.workload import Work, WorkList, spare_paid_pictures
from pipeline.report.summary import Summary
from pipeline.run.closing import close
from pipeline.run.signals import watch_signals
from pipeline.run.up_to_date import remember
from pipeline.run.workspace import opened, planner, read_again, require_matches, with_free_names

if TYPE_CHECKING:
    from pipeline.run.item import Producer


@dataclass(slots=True)
class Run:
    """One run of one job, from its lock to its summary.

    Attributes:
        job: The job.
        selection: Which part of it.
        endpoint: Where requests go.
        progress: Shows how it goes.
        on_record: Called with each image as soon as it is done.
        listeners: Told of all that happens.
        environ: Where the base URL was looked up.
        policy: Times and counts that no job sets.
        fetched: Images that were only brought back: an earlier run had paid for them and saved them.
        counters: What the run has saved and tried.
    """

    job: Job
    selection: Selection
    endpoint: settings.Endpoint
    progress: Callable[[int], Progress]
    on_record: RecordCaller | None = None
    listeners: Sequence[Listener] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    policy: Policy = STANDARD
    id: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}")
    started_at: str = ""
    fetched: int = 0
    counters: Counters = field(default_factory=Counters)

    async def __call__(self) -> Summary:
        """Do it.

        Raises:
            StopRun: Nothing could be begun: no key, the folder is locked or can't be written.
        """
        began = time.monotonic()
        self.endpoint.require_key()
        require_matches(self.job, self.selection)
        with opened(self.job) as (store, ledger):
            base, self.started_at = self.endpoint.base_or_sandbox, utc_now()
            read_again(ledger, self.id)
            plan = planner(self.job, ledger, self.endpoint, self.selection)
            work = WorkList(self.job.wanted, plan, partial(with_free_names, store))
            work.plan()
            if self.endpoint.sandbox and not self.selection.placeholders and work.asked:
                spare_paid_pictures(work, ledger, self.job.output)
            begun = bool(work or ledger.killed_runs() or ledger.in_doubt(base, self.started_at))
            reason: StopRun | None = None
            summary = self._summary()
            if begun:
                network = settings.network(self.environ, self.job.proxy, self.job.user_agent)
                self.endpoint = replace(self.endpoint, network=network)
                ledger.start_run(self.id, self.started_at, self.job.endpoint, base)
                reason, summary = await self._make(store, ledger, work, summary)
            summary = close(self, store, ledger, work.planner, summary, reason)
            if begun:
                # On a full disk there is still something to tell; the next run then tells of these attempts again.
                with suppress(StorageFailed):
                    ledger.end_run(self.id, utc_now(), summary.exit_code)
                to_all(self.listeners)(RunEnded(self.id, summary.exit_code, summary.reason))
            if self.selection == Selection() and not ledger.in_doubt(base):
                with suppress(StorageFailed):
                    remember(self.job, ledger, summary, self.environ)
            return replace(summary, seconds=round(time.monotonic() - began, 3))

    async def _make(
        self, store: OutputFolder, ledger: Ledger, work: WorkList, summary: Summary
    ) -> tuple[StopRun | None, Summary]:
        """Do all the work there is; the reason why it ended early, and what it took."""
        # Imported here: a run with nothing to do needs none of it.
        from pipeline.run.assemble import wire
        from pipeline.run.preflight import prepare
        from pipeline.run.waiting import waiting_for

        stop = StopSignal()
        self.counters.limited = self.selection.limit is not None
        with manifest.ManifestLog(self.job.output / manifest.NAME) as log, self.progress(work.images) as progress:
            own: list[Listener] = [appending_to(log), self.counters, progress]
            callers: list[Listener] = [] if self.on_record is None else [self.on_record]
            tell = to_all([*own, *callers, *self.listeners])
            tell(RunStarted(self.id, self.job.name, self.endpoint.base_or_sandbox, work.images))
            async with AsyncExitStack() as stack:
                limits = self.job.limits
                producer = await wire(
                    self.id,
                    limits,
                    work.tokens,
                    self.endpoint,
                    store,
                    ledger,
                    stop,
                    tell,
                    stack,
                    self.job.check,
                    self.policy,
                )
                asker = producer.asker
                work.planner = replace(work.planner, base=asker.base)
                progress.waiting = waiting_for(asker.admission, producer.reconciler, self.policy)
                async with anyio.create_task_group() as group:
                    group.start_soon(watch_signals, stop, group.cancel_scope, limits.grace, tell)
                    group.start_soon(progress.keep_fresh)
                    if self.on_record:
                        group.start_soon(self.on_record.attend)
                    if await prepare(producer, self.job, store, ledger, work, self.endpoint, stop):
                        tell(PlanChanged(work.images))
                    await self._produce(producer, self._work(work, stop), stop)
                    if self.on_record:
                        await self.on_record.finish()
                    group.cancel_scope.cancel()
        stats, self.fetched = producer.asker.stats, producer.fetched_again
        return stop.reason, replace(
            summary,
            requests=stats.requests,
            tokens_used=stats.tokens,
            usd=round(stats.usd, 9),
            unknown_cost=stats.unknown_cost,
            absurd_cost=stats.absurd_cost,
            not_remade=producer.not_remade,
            renamed=producer.names.renamed,
            unrecorded=producer.reconciler.billing_log.unknown_to_ledger,
        )

    async def _produce(self, producer: "Producer", work: Iterator[Work], stop: StopSignal) -> None:
        """Do all the work, and what comes of its unresolved requests."""
        from pipeline.run.pool import run_pool

        workers = self.job.limits.concurrency + self.job.limits.downloads
        async with anyio.create_task_group() as group:
            producer.later = group
            group.start_soon(producer.reconcile)
            await run_pool(workers, work, _doing(producer, stop), is_open=lambda: stop.reason is None)
            producer.reconciler.close()
        with suppress(RunStopping), stop.interruptible():
            await producer.reconciler.billing_log.check_again()

    def _work(self, work: WorkList, stop: StopSignal) -> Iterator[Work]:
        """All there is to do, piece by piece as workers come free; what makes that impossible ends the run."""
        try:
            yield from work.work()
        except StopRun as reason:
            stop.request(reason)

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
    on_record: OnRecord | None = None,
    listeners: Sequence[Listener] = (),
    policy: Policy = STANDARD,
) -> Summary:
    """Make what the job is missing. See `run_async`; this one starts an event loop of its own."""
    call = partial(
        run_async,
        selection=selection,
        environ=environ,
        progress=progress,
        on_record=on_record,
        listeners=listeners,
        policy=policy,
    )
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
    on_record: OnRecord | None = None,
    listeners: Sequence[Listener] = (),
    policy: Policy = STANDARD,
) -> Summary:
    """Make what the job is missing, and nothing else.

    Args:
        job: The job, from `load_job`.
        selection: Which part of it; all by default.
        environ: Where the key and the base URL are looked up; the process's environment by default.
        progress: Makes the display for a number of images; silent by default.
        on_record: Called with the manifest record of each image as soon as it is saved or has failed. A plain function
            is called at once; what a coroutine function does is awaited beside the run, record by record.
        listeners: Each is called with every event, as it happens (`pipeline.events`); it must be quick.
        policy: Times and counts that no job sets.

    Returns:
        What the run came to; `exit_code` is 0 when every image is there. A run that had begun and must stop says so
        there, in `exit_code` and `reason`.

    Raises:
        StopRun: It could not begin: no key, the folder is locked or can't be written.
        TypeError: `on_record` can't be called; nothing is sent.
    """
    caller = None if on_record is None else RecordCaller(on_record)
    environ = os.environ if environ is None else environ
    endpoint = settings.resolve(job.endpoint, environ)
    quiet = progress or (lambda total: Progress(total, mode="quiet"))
    try:
        return await Run(job, selection or Selection(), endpoint, quiet, caller, tuple(listeners), environ, policy)()
    except BaseExceptionGroup as group:
        # What the caller's own function raised, as it was raised; the group only where it holds more than that.
        first = first_of(group)
        raise first from (group if any(error is not first for error in leaves(group)) else None)


def first_of(error: BaseException) -> BaseException:
    """The first exception at the bottom of nested groups, which task groups make of any."""
    return next(leaves(error))


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions at the bottom of nested groups."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def _doing(producer: "Producer", stop: StopSignal) -> Callable[[Work], Awaitable[None]]:
    """Does one piece of work, whatever kind it is."""

    async def do(work: Work) -> None:
        if isinstance(work, Request):
            await producer.request(work)
        elif isinstance(work, PaidImage):
            await producer.deliver(work)
        elif isinstance(work, UnresolvedAttempt):
            producer.reconciler.park(work)
        else:
            try:
                await producer.names.rename(work.item, work.row)
            except StopRun as reason:
                stop.request(reason)

    return do
