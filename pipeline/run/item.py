"""The way of one item, top to bottom: ask, receipt, fetch, record.

`Producer.request` is that way for one POST, `Producer.deliver` for a picture that an earlier run paid for. Nothing is
raised to the pool: a failed item is recorded, and what must stop the run requests its stop.
"""

import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import anyio
from anyio.abc import TaskGroup

from pipeline.clock import utc, utc_now
from pipeline.download import Downloads
from pipeline.errors import DownloadBroken, GiveUp, MaybeBilled, StopRun
from pipeline.events import ImageFailed, ImageRecorded, Listener, OutcomeUnknown
from pipeline.http.signed_urls import expires_at
from pipeline.ledger import ImageRow, Ledger
from pipeline.limits import retry
from pipeline.limits.policy import STANDARD, Policy
from pipeline.limits.stop import RunStopping, StopSignal
from pipeline.manifest.records import cost_of, record_of
from pipeline.model import CREDITS_PER_USD, Item, PaidImage, Request, SavedImage, UnresolvedAttempt
from pipeline.output.filenames import FileNamer
from pipeline.providers import catalogue
from pipeline.run.attempt import Asker
from pipeline.run.evidence import seconds_of
from pipeline.run.reconcile import Reconciler
from pipeline.text import grouped, plural, printable, usd


@dataclass(slots=True)
class Producer:
    """Everything that one item needs on its way, wired once for a run.

    Attributes:
        asker: Asks for it.
        resolve_url: The URL to fetch for a URL as the answer gave it.
        fetch_slots: Downloads in flight at once.
        reconciler: Finds out about what may have been billed without an answer.
        tell: Listens to what happens.
        policy: How often and how long pictures are fetched.
        fetched_again: Images that had been saved by an earlier run, and were only brought back.
        not_remade: Images that were to be made again and could not be; the old ones are still there.
        later: Where pictures that are paid for and not there yet are waited for; the run ends after them.
    """

    asker: Asker
    ledger: Ledger
    names: FileNamer
    stop: StopSignal
    downloads: Downloads
    resolve_url: Callable[[str], str]
    fetch_slots: anyio.Semaphore
    reconciler: Reconciler
    tell: Listener
    policy: Policy = STANDARD
    fetched_again: int = 0
    not_remade: int = 0
    later: TaskGroup | None = None

    async def request(self, request: Request) -> None:
        """Ask for the images of one request until all are there or no more can be had, and fetch each at once."""
        if len(request.indexes) == 1:
            # Nothing to fetch beside it: a task of its own would only cost time.
            for paid in await self._asked(request):
                await self.deliver(paid)
            return
        async with anyio.create_task_group() as fetches:
            while request.indexes and (paid_images := await self._asked(request)):
                for paid in paid_images:
                    fetches.start_soon(self.deliver, paid)
                # A short answer: the same request again, for what it left out.
                request = replace(request, indexes=request.indexes[len(paid_images) :])

    async def _asked(self, request: Request) -> list[PaidImage]:
        """What asking once has brought; nothing where no more can be had, which is recorded or parked by then."""
        try:
            paid_images = await self.asker.ask(request.item, request.indexes)
            return [replace(paid, is_remake=True) for paid in paid_images] if request.is_remake else paid_images
        except RunStopping:
            pass
        except MaybeBilled as error:
            self._park(request, error)
        except GiveUp as failure:
            await self._give_up(request.item, request.indexes, failure, again=request.is_remake)
        except StopRun as reason:
            self.stop.request(reason)
        return []

    def _park(self, request: Request, error: MaybeBilled) -> None:
        self.tell(OutcomeUnknown(request.item.id, str(error)))
        case = UnresolvedAttempt(request, error.attempt, utc_now(), error.price, str(error), error.booked)
        self.reconciler.park(case, error.age)

    async def reconcile(self) -> None:
        """Resolve attempts as they come due, and ask again for what may be, until no more can become unresolved."""
        async with anyio.create_task_group() as group:
            try:
                while unresolved := await self.reconciler.due():
                    for case in unresolved:
                        group.start_soon(self._resolve, case)
            except RunStopping:
                return
            except StopRun as reason:
                self.stop.request(reason)

    async def _resolve(self, case: UnresolvedAttempt) -> None:
        request = case.request
        with self.reconciler.acting():
            made = request.times_unresolved + 1
            if case.verdict == "unbilled" and made >= self.asker.limits.attempts:
                refusal: GiveUp | None = GiveUp(
                    f"no answer to {plural(made, 'request')}: {case.error}", cause="unavailable"
                )
            else:
                refusal = self.reconciler.refusal(case, last=made >= self.asker.limits.attempts)
            if refusal is None:
                await self.request(replace(request, times_unresolved=made))
            else:
                await self._give_up(request.item, request.indexes, refusal, again=request.is_remake)

    async def deliver(self, paid: PaidImage) -> None:
        """Bring a picture that is paid for to the disk, and record it.

        Where its server refuses what this run has just paid for, the picture may not be there yet: it is waited for in
        a task of its own, so that whoever called can go on.
        """
        async with self._stopping_at_once():
            outcome = await self._fetch(paid, retry.fetching(self.policy, sleep=anyio.sleep))
            if isinstance(outcome, DownloadBroken) and outcome.refused and paid.fresh and not self._is_dead(paid):
                self._unusable(paid, "download")
                assert self.later is not None
                self.later.start_soon(self._wait_for, paid, outcome)
            else:
                await self._conclude(paid, outcome)

    async def _wait_for(self, paid: PaidImage, outcome: SavedImage | DownloadBroken | GiveUp) -> None:
        """Try a picture that is not there yet for some minutes more, as long as the run goes on."""
        async with self._stopping_at_once():
            with suppress(RunStopping):
                for pause in retry.waits_for_fresh(self.policy):
                    with self.stop.interruptible():
                        await anyio.sleep(pause)
                    outcome = await self._fetch(paid, retry.once())
                    if not (isinstance(outcome, DownloadBroken) and outcome.refused) or self._is_dead(paid):
                        break
            await self._conclude(paid, outcome)

    @asynccontextmanager
    async def _stopping_at_once(self) -> AsyncIterator[None]:
        """What must stop the run requests its stop."""
        try:
            yield
        except StopRun as reason:
            self.stop.request(reason)

    async def _fetch(self, paid: PaidImage, attempts: retry.Attempts) -> SavedImage | DownloadBroken | GiveUp:
        """Fetch a picture; the file, or why there is none."""
        item = paid.item
        model = catalogue.of(item.model)
        with self.downloads.transfer(
            paid.image,
            item.stem(paid.index),
            lambda width, height: model.accepts_shape(item.aspect_ratio, width, height),
            self.resolve_url,
        ) as transfer:

            async def attempt() -> SavedImage:
                async with self.fetch_slots:
                    await self.names.archive_existing(item, paid.index)
                    return await transfer.attempt()

            try:
                return await attempts(attempt)
            except (DownloadBroken, GiveUp) as error:
                return error

    async def _conclude(self, paid: PaidImage, outcome: SavedImage | DownloadBroken | GiveUp) -> None:
        """Record what became of a picture; or, where it can't be had and is wanted all the same, ask for it again.

        Three ways out before it is given up: 1. an older paid answer has the same image; 2. a person wants it now;
        3. it had been delivered once, and what its URL says is final or has been said by an earlier run as well.
        """
        if isinstance(outcome, SavedImage):
            await self._record_saved(paid, outcome)
            if paid.fresh:
                self.asker.unusable.usable()
            return
        failure = outcome if isinstance(outcome, GiveUp) else self._verdict(paid, outcome)
        if paid.fresh:
            self._unusable(paid, failure.cause)
        again = paid.insisted or (paid.replaces and failure.cause == "lost")
        again = again or (paid.overdue and failure.cause == "download")
        if paid.others and (again or failure.cause != "download"):
            first, *others = paid.others
            await self.deliver(replace(paid, image=first.image, attempt=first.attempt, others=tuple(others)))
        elif again:
            await self.request(Request(paid.item, (paid.index,), paid.is_remake))
        else:
            await self._give_up(paid.item, (paid.index,), failure, paid, again=paid.is_remake)

    def _verdict(self, paid: PaidImage, error: DownloadBroken) -> GiveUp:
        """What it finally means that a picture did not come: a refusal is believed only where the URL is dead."""
        if error.refused and self._is_dead(paid):
            return GiveUp(self._loss(paid, error), cause="lost")
        said = self._loss(paid, error) if error.cause == "bad-picture" else str(error)
        return GiveUp(said, cause=error.cause)

    def _is_dead(self, paid: PaidImage) -> bool:
        """Whether no URL of a picture can be good any more: by what it says itself, else by its age."""
        now = time.time()
        by_age = seconds_of(paid.paid_at) + self.policy.url_lifetime if paid.paid_at else math.inf
        for url in filter(None, (paid.image.url, *paid.image.more_urls)):
            until = expires_at(url)
            if now < (by_age if until is None else until):
                return False
        return True

    def _unusable(self, paid: PaidImage, cause: str) -> None:
        """A picture that this run has paid for is of no use so far; too many of them in a row end the run."""
        reason = self.asker.unusable.unusable(paid.item.id, cause)
        if reason is not None:
            self.stop.request(reason)

    def _loss(self, paid: PaidImage, error: DownloadBroken) -> str:
        """What is lost, with its price, and whether its URL had come to its end."""
        until = expires_at(paid.image.url or "")
        ended = f"; its URL was good until {utc(until)}" if until is not None and until < time.time() else ""
        tokens, _ = cost_of(paid.index, self.ledger.attempts(paid.item.key, answers=False), paid.attempt)
        price = "" if tokens is None else f"; it cost {grouped(tokens)} tokens ({usd(tokens / CREDITS_PER_USD)})"
        return f"{error}{ended}{price}"

    async def _record_saved(self, paid: PaidImage, image: SavedImage) -> None:
        row = self._row(paid.item, paid.index, paid)
        row = self.names.saved_row(row, image)
        self.fetched_again += paid.replaces
        await self.ledger.saved(paid.item, row)
        self.names.drop_archived(paid.item, paid.index, image.path)
        self._tell_record(paid.item, row)

    async def _give_up(
        self,
        item: Item,
        indexes: Sequence[int],
        failure: GiveUp,
        paid: PaidImage | None = None,
        *,
        again: bool = False,
    ) -> None:
        try:
            for index in indexes:
                self.tell(ImageFailed(item.stem(index), failure.cause, str(failure)))
                row = self._row(item, index, paid, cause=failure.cause, error=printable(str(failure)))
                if again and self._is_there(item, index):
                    self.not_remade += 1
                    if paid and failure.cause not in GiveUp.AGAIN:
                        await self.ledger.not_remade(row)
                    continue
                await self.ledger.failed(row)
                self._tell_record(item, row)
        except StopRun as reason:
            self.stop.request(reason)

    def _is_there(self, item: Item, index: int) -> bool:
        row = self.ledger.images(item.key).get(index)
        return row is not None and row.state == "saved"

    def _row(
        self, item: Item, index: int, paid: PaidImage | None, *, cause: str | None = None, error: str | None = None
    ) -> ImageRow:
        made = sum(index in attempt.indexes for attempt in self.ledger.attempts(item.key, answers=False))
        # A failed row that names a path says that the picture had been delivered: the next run may ask for it again.
        before = self.ledger.images(item.key).get(index) if paid and paid.replaces else None
        return ImageRow(
            key=item.key,
            idx=index,
            item=item.id,
            state="failed",
            created_at=utc_now(),
            attempts=made,
            attempt=paid.attempt if paid else None,
            path=before.path if before else None,
            url=paid.image.url if paid else None,
            revised_prompt=paid.image.revised_prompt if paid else None,
            cause=cause,
            error=error,
        )

    def _tell_record(self, item: Item, row: ImageRow) -> None:
        attempts = self.ledger.attempts(item.key, answers=False)
        self.tell(ImageRecorded(record_of(item, row.idx, row, attempts, row.created_at)))
