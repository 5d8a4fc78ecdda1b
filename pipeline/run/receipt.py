"""The receipt of a request that may have been billed: written down before anything reads it, then understood."""

from dataclasses import dataclass, field

from pipeline.clock import utc_now
from pipeline.errors import Accepted, GiveUp, PipelineError, StopRun
from pipeline.generated import Generation
from pipeline.http import wire
from pipeline.http.transport import LARGE
from pipeline.ledger import Ledger
from pipeline.limits.admission import Reservation
from pipeline.limits.stop import StopSignal
from pipeline.limits.unusable import UnusableStreak
from pipeline.model import CREDITS_PER_USD, Item
from pipeline.providers.aimlapi import empty, shapes
from pipeline.providers.aimlapi.verdict import AnswerContext
from pipeline.run.stats import RunStats, plausible_cost
from pipeline.text import printable, usd


@dataclass(slots=True)
class Receipts:
    """Writes down what was paid for, and finds out what it is.

    Attributes:
        base: Base URL of the endpoint, written beside answers that a sandbox gave in the real API's place.
        tally: What has been asked for and paid.
        unusable: Ends the run when its paid answers bring no usable picture, again and again.
        spoken: This run has had an answer in an API's form.
        delivered: Models of which this run has had a picture.
        learned: The most tokens that one image of each model has cost.
    """

    ledger: Ledger
    stop: StopSignal
    stats: RunStats
    unusable: UnusableStreak
    base: str
    spoken: bool = False
    delivered: set[str] = field(default_factory=set)
    learned: dict[str, int] = field(default_factory=dict)

    async def maybe(
        self, attempt: str, reservation: Reservation, error: str, answer: wire.Answer | None = None
    ) -> None:
        """A request was sent, and nothing says whether it was billed."""
        reservation.cost = reservation.reserved
        await self.ledger.outcome(
            attempt,
            "maybe",
            utc_now(),
            status=answer.status if answer else None,
            # Enough for a person to see what it was.
            answer=answer.body[:LARGE] if answer else None,
            inference_id=answer.inference_id if answer else None,
            error=error,
        )

    async def paid(
        self, attempt: str, item: Item, answer: wire.Answer, reservation: Reservation, asked: AnswerContext
    ) -> Generation | PipelineError:
        """Take in a paid answer.

        Returns:
            What it holds, with at least one picture; or, of an answer that turns out not to be billed, what to do.

        Raises:
            Accepted: It is an asynchronous API's.
            NoPicture: It is paid for and empty, and may be asked for once more.
            GiveUp: It is paid for, and brings no picture.
            StopRun: The same, and the next one would not either; the run is told to stop.
        """
        reservation.cost = reservation.reserved
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
            document, generation = shapes.read(answer)
        except ValueError as error:
            self.count_unusable(item, "lost")
            raise await self._unreadable(attempt, answer, reservation, error) from None
        self.spoken = True
        if generation.images:
            self.delivered.add(item.model)
            return self._cost_of(attempt, item, generation, reservation)
        failure, billed = empty.meaning(answer, document, generation, asked)
        if isinstance(failure, Accepted):
            raise await self._accepted(attempt, item, answer, failure)
        if not billed:
            reservation.cost = 0
            return failure
        self._cost_of(attempt, item, generation, reservation)
        if isinstance(failure, StopRun):
            self.stop.request(failure)
        else:
            self.count_unusable(item, failure.cause if isinstance(failure, GiveUp) else "filtered")
        if isinstance(failure, GiveUp) and failure.cause == "lost":
            await self.ledger.unreadable(attempt, utc_now(), str(failure))
        raise failure

    def count_unusable(self, item: Item, cause: str) -> None:
        """Count a paid answer that brought no usable picture; the run ends when there are too many in a row."""
        reason = self.unusable.unusable(item.id, cause)
        if reason is not None:
            self.stop.request(reason)

    def _cost_of(self, attempt: str, item: Item, generation: Generation, reservation: Reservation) -> Generation:
        """Book what a paid answer says that it cost."""
        generation = plausible_cost(generation, reservation, self.stats)
        if generation.tokens_used is None:
            self.stats.unknown_cost += 1
        else:
            reservation.cost = generation.tokens_used
            each = generation.tokens_used // max(1, len(generation.images))
            self.learned[item.model] = max(each, self.learned.get(item.model, 0))
        self.stats.tokens += generation.tokens_used or 0
        self.stats.usd += generation.usd or 0.0
        self.ledger.understood(attempt, len(generation.images), generation.tokens_used, generation.usd)
        return generation

    async def _accepted(self, attempt: str, item: Item, answer: wire.Answer, accepted: Accepted) -> Accepted:
        self.count_unusable(item, "accepted")
        await self.ledger.accepted(
            attempt,
            utc_now(),
            status=answer.status,
            answer=answer.body,
            ticket=accepted.ticket,
            inference_id=answer.inference_id,
            error=str(accepted),
        )
        return accepted

    async def _unreadable(
        self, attempt: str, answer: wire.Answer, reservation: Reservation, error: ValueError
    ) -> GiveUp:
        """A paid answer that nobody can read is lost: the next one would cost the same again."""
        cut = "" if answer.whole else f", cut off after {len(answer.body):,} bytes"
        price = (
            ""
            if reservation.price is None
            else f", {reservation.price:,} tokens ({usd(reservation.price / CREDITS_PER_USD)})"
        )
        # Of half an answer, its reader's complaint says nothing more.
        why = f": {printable(str(error), 200)}" if answer.whole else ""
        reason = f"paid for{price}, but the answer ({answer.status}{cut}) can't be read{why}"
        await self.ledger.unreadable(attempt, utc_now(), reason)
        return GiveUp(reason, cause="lost")
