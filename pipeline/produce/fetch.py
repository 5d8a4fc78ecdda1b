"""The way of one item, top to bottom: ask, receipt, fetch, record.

`Producer.request` is that way for one POST, `Producer.claim` for a picture that an earlier run paid for. Nothing is
raised to the pool: a failed item is recorded, and what must stop the run closes the gate.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import anyio

from pipeline import models, retry
from pipeline.download import Downloads
from pipeline.errors import DownloadBroken, GiveUp, MaybeBilled, StopRun
from pipeline.gate import Gate, GateClosed
from pipeline.ledger import ImageRow, Ledger
from pipeline.model import CREDITS_PER_USD, Claim, Doubt, Item, Record, Request, SavedImage
from pipeline.names import NameKeeper
from pipeline.produce.ask import Asker
from pipeline.produce.settle import Settler
from pipeline.signed import expires_at
from pipeline.text import grouped, plural, printable, usd
from pipeline.view import cost_of, record_of, utc, utc_now


@dataclass(slots=True)
class Producer:
    """Everything that one item needs on its way, wired once for a run.

    Attributes:
        asker: Asks for it.
        locate: The URL to fetch for a URL as the answer gave it.
        fetch_slots: Downloads in flight at once.
        settler: Finds out about what may have been billed without an answer.
        on_record: Told of each image that is done, saved or failed.
        note: Says something to whoever watches the run.
        not_remade: Images that were to be made again and could not be; the old ones are still there.
    """

    asker: Asker
    ledger: Ledger
    names: NameKeeper
    gate: Gate
    downloads: Downloads
    locate: Callable[[str], str]
    fetch_slots: anyio.Semaphore
    settler: Settler
    on_record: Callable[[Record], None]
    note: Callable[[str], None]
    not_remade: int = 0

    async def request(self, request: Request) -> None:
        """Ask for the images of one request until all are there or no more can be had, and fetch each at once."""
        if len(request.indexes) == 1:
            # Nothing to fetch beside it: a task of its own would only cost time.
            for claim in await self._asked(request):
                await self.claim(claim)
            return
        async with anyio.create_task_group() as fetches:
            while request.indexes and (claims := await self._asked(request)):
                for claim in claims:
                    fetches.start_soon(self.claim, claim)
                # A short answer: the same request again, for what it left out.
                request = replace(request, indexes=request.indexes[len(claims) :])

    async def _asked(self, request: Request) -> list[Claim]:
        """What asking once has brought; nothing where no more can be had, which is recorded or parked by then."""
        try:
            return await self.asker.ask(request.item, request.indexes)
        except GateClosed:
            pass
        except MaybeBilled as error:
            self._park(request, error)
        except GiveUp as failure:
            await self._give_up(request.item, request.indexes, failure, again=request.again)
        except StopRun as reason:
            self.gate.close(reason)
        return []

    def _park(self, request: Request, error: MaybeBilled) -> None:
        self.note(f"{request.item.id}: {error}")
        doubt = Doubt(request, error.attempt, utc_now(), error.price, str(error), error.booked)
        self.settler.park(doubt, error.age)

    async def settling(self) -> None:
        """Settle doubts as they come due, and ask again for what may be, until nothing can come into doubt any more."""
        async with anyio.create_task_group() as group:
            try:
                while doubts := await self.settler.due():
                    for doubt in doubts:
                        group.start_soon(self._resolve, doubt)
            except GateClosed:
                return
            except StopRun as reason:
                self.gate.close(reason)

    async def _resolve(self, doubt: Doubt) -> None:
        request = doubt.request
        with self.settler.acting():
            made = request.doubts + 1
            if doubt.verdict == "unbilled" and made >= self.asker.limits.attempts:
                refusal: GiveUp | None = GiveUp(
                    f"no answer to {plural(made, 'request')}: {doubt.error}", cause="unavailable"
                )
            else:
                refusal = self.settler.refusal(doubt, last=made >= self.asker.limits.attempts)
            if refusal is None:
                await self.request(replace(request, doubts=request.doubts + 1))
            else:
                await self._give_up(request.item, request.indexes, refusal, again=request.again)

    async def claim(self, claim: Claim) -> None:
        """Bring a picture that is paid for to the disk, and record it."""
        try:
            image = await self._fetch(claim)
            await self._record_saved(claim, image)
        except GiveUp as failure:
            if (failure.cause == "lost" and claim.replaces) or (failure.cause == "download" and claim.overdue):
                # It was delivered once and its file is gone since, or a person has said so: the job still wants it.
                await self.request(Request(claim.item, (claim.index,)))
            else:
                await self._give_up(claim.item, (claim.index,), failure, claim)
        except StopRun as reason:
            self.gate.close(reason)

    async def _fetch(self, claim: Claim) -> SavedImage:
        item = claim.item
        model = models.of(item.model)
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
                said = self._loss(claim, error) if error.cause in ("lost", "bad-picture") else str(error)
                raise GiveUp(said, cause=error.cause) from None

    def _loss(self, claim: Claim, error: DownloadBroken) -> str:
        """What is lost, with its price, and whether its URL had come to its end."""
        until = expires_at(claim.image.url or "")
        ended = f"; its URL was good until {utc(until)}" if until is not None and until < time.time() else ""
        tokens, _ = cost_of(claim.index, self.ledger.attempts(claim.item.key, answers=False), claim.attempt)
        price = "" if tokens is None else f"; it cost {grouped(tokens)} tokens ({usd(tokens / CREDITS_PER_USD)})"
        return f"{error}{ended}{price}"

    async def _record_saved(self, claim: Claim, image: SavedImage) -> None:
        row = self._row(claim.item, claim.index, claim)
        row = self.names.saved_row(row, image)
        await self.ledger.saved(claim.item, row)
        self.names.sweep(claim.item, claim.index, image.path)
        self._tell(claim.item, row)

    async def _give_up(
        self, item: Item, indexes: Sequence[int], failure: GiveUp, claim: Claim | None = None, *, again: bool = False
    ) -> None:
        try:
            for index in indexes:
                self.note(f"failed ({failure.cause}): {item.stem(index)}: {failure}")
                if again and self._is_there(item, index):
                    self.not_remade += 1
                    continue
                row = self._row(item, index, claim, cause=failure.cause, error=printable(str(failure)))
                await self.ledger.failed(row)
                self._tell(item, row)
        except StopRun as reason:
            self.gate.close(reason)

    def _is_there(self, item: Item, index: int) -> bool:
        row = self.ledger.images(item.key).get(index)
        return row is not None and row.state == "saved"

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
