"""The way of one item, top to bottom: wait, ask, receipt, fetch, record.

`Producer.request` is that way for one POST, `Producer.claim` for a picture that an earlier run paid for. Policy (pace,
retries, the breaker, the budget) wraps the stages here; a stage makes one attempt and knows nothing of the others.
Nothing is raised to the pool: a failed item is recorded, and what must stop the run closes the gate.
"""

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from pipeline import models, retry
from pipeline.api import shapes, wire
from pipeline.api.client import Client
from pipeline.budget import Budget
from pipeline.download import Downloads
from pipeline.errors import (
    DownloadBroken,
    GiveUp,
    MaybeBilled,
    NoPicture,
    NotSent,
    RateLimited,
    StopRun,
    StorageFailed,
    TryAgain,
    Unavailable,
)
from pipeline.gate import Gate, GateClosed
from pipeline.ledger import ImageRow, Ledger
from pipeline.model import Claim, Generation, Item, Limits, Record, Request, SavedImage
from pipeline.names import NameKeeper
from pipeline.outage import Outage
from pipeline.pace import Pace, Throttle
from pipeline.text import duration, printable
from pipeline.view import record_of, utc_now

_CAUSE: dict[type[TryAgain], str] = {
    MaybeBilled: "maybe-billed",
    NoPicture: "filtered",
}
"""What to count an item under that was tried again until nothing more could be tried; else `unavailable`."""

ROOM = 64 * 1024 * 1024
"""Bytes that must be free before a request is sent: what is paid for must find a place."""


@dataclass(slots=True)
class Tally:
    """What a run has done so far.

    Attributes:
        requests: POSTs that left this machine.
        tokens: Tokens that paid answers cost.
        usd: Dollars that paid answers cost, where they say so.
        unknown_cost: Paid answers that did not say what they cost in tokens.
    """

    requests: int = 0
    tokens: int = 0
    usd: float = 0.0
    unknown_cost: int = 0


@dataclass(slots=True)
class Producer:
    """Everything that one item needs on its way, wired once for a run.

    Attributes:
        run: The run's id.
        on_record: Told of each image that is done, saved or failed.
        note: Says something to whoever watches the run.
        base: Base URL of the endpoint, written beside answers that a sandbox gave in the real API's place.
        locate: The URL to fetch for a URL as the answer gave it.
        fetch_slots: Downloads in flight at once.
    """

    run: str
    limits: Limits
    ledger: Ledger
    names: NameKeeper
    gate: Gate
    budget: Budget
    pace: Pace
    throttle: Throttle
    outage: Outage
    client: Client
    downloads: Downloads
    base: str
    on_record: Callable[[Record], None]
    note: Callable[[str], None]
    locate: Callable[[str], str]
    fetch_slots: anyio.CapacityLimiter
    tally: Tally = field(default_factory=Tally)
    _learned: dict[str, int] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def request(self, request: Request) -> None:
        """Ask for the images of one request until all are there or no more can be had, and fetch each at once."""
        item, missing = request.item, request.indexes
        async with anyio.create_task_group() as fetches:
            try:
                while missing:
                    claims = await self._ask(item, missing)
                    for claim in claims:
                        fetches.start_soon(self.claim, claim)
                    # A short answer: the same request again, for what it left out.
                    missing = missing[len(claims) :]
            except GateClosed:
                return
            except GiveUp as failure:
                await self._give_up(item, missing, failure)
            except StopRun as reason:
                self.gate.close(reason)

    async def claim(self, claim: Claim) -> None:
        """Bring a picture that is paid for to the disk, and record it."""
        try:
            image = await self._fetch(claim)
            await self._record_saved(claim, image)
        except GiveUp as failure:
            if failure.cause == "lost" and claim.replaces:
                # It was delivered once and its file is gone since: the job still wants it.
                await self.request(Request(claim.item, (claim.index,)))
            else:
                await self._give_up(claim.item, (claim.index,), failure, claim)
        except StopRun as reason:
            self.gate.close(reason)

    # Ask.

    async def _ask(self, item: Item, indexes: Sequence[int]) -> list[Claim]:
        try:
            return await retry.asking(self.limits, sleep=self._back_off)(self._attempt, item, indexes)
        except TryAgain as error:
            raise GiveUp(str(error), cause=_CAUSE.get(type(error), "unavailable")) from None

    async def _back_off(self, seconds: float) -> None:
        with self.gate.waiting():
            await anyio.sleep(seconds)

    def _price(self, item: Item) -> int | None:
        """Tokens that one image costs: by list price, or else the most that one has cost so far."""
        return (models.find(item.model) or models.unknown(item.model)).price or self._learned.get(item.model)

    async def _attempt(self, item: Item, indexes: Sequence[int]) -> list[Claim]:
        """One POST: from its turn to its receipt."""
        model = models.find(item.model) or models.unknown(item.model)
        each = self._price(item)
        price = None if each is None else each * len(indexes)
        async with self._turn(price or 0) as bill:
            attempt = f"{self.run}.{item.key[:12]}.{next(self._numbers):06d}"
            body = model.body(item.prompt, item.aspect_ratio, item.seed, item.parameters, len(indexes))
            self._check_room()
            await self.ledger.intend(attempt, self.run, item, indexes, price, utc_now())
            generation = await self._send(attempt, item, body, bill)
        if not generation.images:
            raise NoPicture("the answer held no picture: the prompt or the picture was filtered")
        pairs = zip(indexes, generation.images, strict=False)
        return [Claim(item, index, image, attempt) for index, image in pairs]

    def _check_room(self) -> None:
        """Make sure that what is about to be paid for can be kept.

        Raises:
            StorageFailed: The disk is nearly full.
        """
        free = self.names.free_bytes()
        if free < ROOM:
            raise StorageFailed(
                f"the output folder's disk has only {free / 1e6:,.0f} MB left, and {ROOM / 1e6:,.0f} MB are kept free "
                "for what is under way: nothing more is asked for; free some space, then run again"
            )

    @asynccontextmanager
    async def _turn(self, price: int) -> AsyncIterator["Bill"]:
        """The right to send one request now, paid for whatever becomes of it."""
        with self.gate.waiting():
            await self.outage.turn()
            epoch = await self.throttle.acquire()
        try:
            with self.gate.waiting():
                await self.budget.reserve(price)
            bill = Bill(price, epoch)
            try:
                with self.gate.waiting():
                    await self.pace.turn()
                yield bill
            finally:
                self.budget.settle(price, bill.cost)
        finally:
            self.throttle.release()

    async def _send(self, attempt: str, item: Item, body: dict[str, object], bill: "Bill") -> Generation:
        if self.gate.reason is not None:
            await self.ledger.outcome(attempt, "rejected", utc_now(), error="not sent: the run is ending")
            raise GateClosed
        try:
            answer = await self.client.post(attempt, body)
        except NotSent as error:
            self._provider_failed(item, error)
            await self.ledger.outcome(attempt, "rejected", utc_now(), error=f"not sent: {error}")
            raise
        except MaybeBilled as error:
            await self._maybe(attempt, bill, str(error))
            raise
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._maybe(attempt, bill, "the run was stopped while it waited for the answer")
            raise
        return await self._judge(attempt, item, answer, bill)

    async def _judge(self, attempt: str, item: Item, answer: wire.Answer, bill: "Bill") -> Generation:
        self.tally.requests += 1
        error = wire.verdict(answer)
        if error is None:
            self.outage.succeeded()
            self.throttle.accepted()
            self.pace.accepted()
            return await self._receipt(attempt, item, answer, bill)
        if isinstance(error, MaybeBilled):
            await self._maybe(attempt, bill, str(error), answer)
            raise error
        if isinstance(error, RateLimited):
            self.throttle.refused(bill.epoch)
            self._paused(error, self.pace.pause(error.retry_after))
        elif isinstance(error, Unavailable):
            self._provider_failed(item, error)
        elif isinstance(error, StopRun):
            # Before anything is awaited: nobody else may send with a key that was refused.
            self.gate.close(error)
        await self.ledger.outcome(attempt, "rejected", utc_now(), status=answer.status, error=str(error))
        raise error

    def _paused(self, error: RateLimited, seconds: float) -> None:
        if seconds >= 1:
            self.note(f"the API asks for a pause of {duration(seconds)} ({error})")

    def _provider_failed(self, item: Item, error: NotSent | Unavailable) -> None:
        if self.outage.failed(item.id, error):
            self.note(f"the provider is unavailable ({error}); probing it now and then")

    async def _receipt(self, attempt: str, item: Item, answer: wire.Answer, bill: "Bill") -> Generation:
        """Write the paid answer down, as it came, before anything reads it."""
        bill.cost = bill.price
        await self.ledger.paid(
            attempt,
            utc_now(),
            status=answer.status,
            answer=answer.body,
            inference_id=answer.inference_id,
            made_by=self.base if answer.sandbox and not item.sandbox else None,
            cost=wire.cost(answer),
        )
        try:
            generation = shapes.understand(answer)
        except ValueError as error:
            reason = f"the answer ({answer.status}) can't be read: {printable(str(error), 200)}"
            await self._maybe(attempt, bill, reason, answer)
            raise MaybeBilled(reason) from None
        if generation.tokens_used is None:
            self.tally.unknown_cost += 1
        else:
            bill.cost = generation.tokens_used
            each = generation.tokens_used // max(1, len(generation.images))
            self._learned[item.model] = max(each, self._learned.get(item.model, 0))
        self.tally.tokens += generation.tokens_used or 0
        self.tally.usd += generation.usd or 0.0
        self.ledger.understood(attempt, len(generation.images), generation.tokens_used, generation.usd)
        return generation

    async def _maybe(self, attempt: str, bill: "Bill", error: str, answer: wire.Answer | None = None) -> None:
        bill.cost = bill.price
        await self.ledger.outcome(
            attempt,
            "maybe",
            utc_now(),
            status=answer.status if answer else None,
            answer=answer.body if answer else None,
            error=error,
        )

    # Fetch.

    async def _fetch(self, claim: Claim) -> SavedImage:
        item = claim.item
        model = models.find(item.model) or models.unknown(item.model)
        stem = item.stem(claim.index)
        with self.downloads.transfer(
            claim.image, stem, lambda width, height: model.accepts_shape(item.aspect_ratio, width, height), self.locate
        ) as transfer:

            async def attempt() -> SavedImage:
                async with self.fetch_slots:
                    await self.names.make_room(item, claim.index)
                    return await transfer.attempt()

            try:
                return await retry.fetching(sleep=anyio.sleep)(attempt)
            except DownloadBroken as error:
                raise GiveUp(str(error), cause=error.cause) from None

    # Record.

    async def _record_saved(self, claim: Claim, image: SavedImage) -> None:
        row = self._row(claim.item, claim.index, claim)
        row = self.names.saved_row(row, image)
        await self.ledger.saved(claim.item, row)
        self.names.sweep(claim.item, claim.index, image.path)
        self._tell(claim.item, row)

    async def _give_up(self, item: Item, indexes: Sequence[int], failure: GiveUp, claim: Claim | None = None) -> None:
        try:
            for index in indexes:
                row = self._row(item, index, claim, cause=failure.cause, error=printable(str(failure)))
                await self.ledger.failed(row)
                self.note(f"failed ({failure.cause}): {item.stem(index)}: {failure}")
                self._tell(item, row)
        except StopRun as reason:
            self.gate.close(reason)

    def _row(
        self, item: Item, index: int, claim: Claim | None, *, cause: str | None = None, error: str | None = None
    ) -> ImageRow:
        made = sum(index in attempt.indexes for attempt in self.ledger.attempts(item.key, answers=False))
        # A failed row that names a path says that the picture had been delivered: the next run may ask for it again.
        before = self.ledger.images(item.key).get(index) if claim and claim.replaces else None
        return ImageRow(
            key=item.key,
            idx=index,
            item=item.id,
            state="failed",
            created_at=utc_now(),
            attempts=made,
            attempt=claim.attempt if claim else None,
            path=before.path if before else None,
            url=claim.image.url if claim else None,
            revised_prompt=claim.image.revised_prompt if claim else None,
            cause=cause,
            error=error,
        )

    def _tell(self, item: Item, row: ImageRow) -> None:
        self.on_record(record_of(item, row.idx, row, self.ledger.attempts(item.key, answers=False), row.created_at))


@dataclass(slots=True)
class Bill:
    """What one request has cost, as far as is known: its list price is reserved, its outcome corrects it."""

    price: int
    epoch: int
    cost: int = 0
