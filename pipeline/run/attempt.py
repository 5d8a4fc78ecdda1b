"""Asking: from an item's turn to the receipt of a paid answer.

Admission (concurrency, budget, rate, breaker) and the retries wrap the one POST here; the POST makes one
attempt and knows nothing of them.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import anyio

from pipeline.clock import ServerClock, utc_now
from pipeline.errors import (
    GiveUp,
    MaybeBilled,
    NoPicture,
    NotSent,
    PipelineError,
    RateLimited,
    StopRun,
    StorageFailed,
    TryAgain,
    Unavailable,
)
from pipeline.events import (
    AnswerPaid,
    ConnectionsCutOff,
    Listener,
    PauseAsked,
    ProviderOut,
    RequestRefused,
    RequestSent,
)
from pipeline.generated import Generation
from pipeline.http import wire
from pipeline.http.sessions import Sent
from pipeline.http.transport import Transport
from pipeline.ledger import Ledger
from pipeline.limits import retry
from pipeline.limits.admission import Admission, Reservation
from pipeline.limits.idle_timeouts import CUTS, IdleTimeoutDetector
from pipeline.limits.policy import STANDARD, Policy
from pipeline.limits.stop import RunStopping, StopSignal
from pipeline.limits.unusable import UnusableStreak
from pipeline.model import Item, Limits, PaidImage
from pipeline.providers import catalogue
from pipeline.providers.aimlapi.verdict import AnswerContext, speaks, verdict
from pipeline.run.receipt import Receipts
from pipeline.run.stats import RunStats


@dataclass(slots=True)
class Asker:
    """All that asking needs, wired once for a run.

    Attributes:
        run: The run's id.
        admission: Lets requests out.
        base: Base URL of the endpoint, written beside answers that a sandbox gave in the real API's place.
        free_bytes: Bytes that the output folder can still take.
        tell: Listens to what happens.
        policy: How failures and the disk are treated.
        unusable: Ends the run when its paid answers bring no usable picture, again and again.
        tally: What has been asked for and paid.
        server: The server's clock, kept beside each attempt.
    """

    run: str
    limits: Limits
    ledger: Ledger
    stop: StopSignal
    admission: Admission
    client: Transport
    base: str
    free_bytes: Callable[[], int]
    tell: Listener
    policy: Policy = STANDARD
    retries: retry.RetryBudget = field(init=False)
    stats: RunStats = field(default_factory=RunStats)
    server: ServerClock = field(default_factory=ServerClock)
    unusable: UnusableStreak = field(default_factory=lambda: UnusableStreak(Limits().unusable_answers))
    _cuts: IdleTimeoutDetector = field(init=False)
    _quiet_until: float = 0.0
    _receipts: Receipts = field(init=False)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.retries = retry.RetryBudget(self.policy)
        self._cuts = IdleTimeoutDetector(self.policy)
        self._receipts = Receipts(self.ledger, self.stop, self.stats, self.unusable, self.base)

    async def ask(self, item: Item, indexes: Sequence[int]) -> list[PaidImage]:
        """Ask for some images of an item, as often as the policy allows; what came of it, each with its receipt.

        The answer may be short: then there are fewer images than indexes.

        Raises:
            GiveUp: No attempt gave a picture, and no more are to be made.
            MaybeBilled: The last attempt may have been billed; it must be reconciled first.
            GateClosed: The run is ending.
            StopRun: The run must end; where the API said so, the stop is requested already.
        """
        try:
            return await retry.asking(self.limits, self.policy, sleep=self._back_off)(self._attempt, item, indexes)
        except MaybeBilled:
            raise
        except TryAgain as error:
            cause = "filtered" if isinstance(error, NoPicture) else "unavailable"
            raise GiveUp(str(error), cause=cause) from None

    async def _back_off(self, seconds: float) -> None:
        with self.stop.interruptible():
            await anyio.sleep(seconds)
            # A refusal for its pace has no backoff of its own, and adds to nobody's troubles.
            if seconds:
                await self.retries.turn()

    def _price(self, item: Item) -> int | None:
        """Tokens that one image costs: by list price, or the most that one has cost so far where that is more."""
        listed, learned = catalogue.of(item.model).price, self._receipts.learned.get(item.model)
        return listed if learned is None else max(listed or 0, learned)

    async def _attempt(self, item: Item, indexes: Sequence[int]) -> list[PaidImage]:
        """One POST: from its turn to its receipt."""
        model = catalogue.of(item.model)
        async with self.admission.admit(self._price(item), len(indexes)) as reservation:
            # What the budget has no room for is asked for when it has; the answer is short, as it may always be.
            indexes = indexes[: reservation.images]
            attempt = f"{self.run}.{item.key[:12]}.{next(self._numbers):06d}"
            body = model.body(item.prompt, item.aspect_ratio, item.seed, item.parameters, len(indexes))
            self._check_room()
            skew = self.server.skew
            await self.ledger.intend(attempt, self.run, item, indexes, reservation.price, utc_now(), skew=skew)
            self.tell(RequestSent(attempt, item.id, len(indexes)))
            try:
                generation = await self._send(attempt, item, body, reservation)
            except PipelineError as error:
                # Its traceback holds the frames below, and they the answer: many megabytes, until the next attempt.
                error.__context__ = None
                raise error.with_traceback(None) from None
        self.tell(AnswerPaid(attempt, item.id, len(generation.images), generation.tokens_used))
        pairs = zip(indexes, generation.images, strict=False)
        now = utc_now()
        return [PaidImage(item, index, image, attempt, fresh=True, paid_at=now) for index, image in pairs]

    def _check_room(self) -> None:
        """Make sure that what is about to be paid for can be kept.

        Raises:
            StorageFailed: The disk is nearly full.
        """
        free, keep = self.free_bytes(), self.policy.free_bytes
        if free < keep:
            raise StorageFailed(
                f"the output folder's disk has only {free / 1e6:,.0f} MB left, and {keep / 1e6:,.0f} MB are kept free "
                "for what is under way: nothing more is asked for; free some space, then run again"
            )

    async def _send(self, attempt: str, item: Item, body: dict[str, object], reservation: Reservation) -> Generation:
        if self.stop.reason is not None:
            await self.ledger.outcome(attempt, "rejected", utc_now(), error="not sent: the run is ending")
            raise RunStopping
        sent, began = Sent(), anyio.current_time()
        # Held until the answer is in the ledger: the memory that all answers may take is one budget.
        with self.client.share() as share:
            try:
                answer = await self.client.post(attempt, body, sent, share)
            except MaybeBilled as error:
                await self._receipts.maybe(attempt, reservation, str(error))
                if error.malformed:
                    self._receipts.count_unusable(item, "lost")
                raise self._unresolved(error, attempt, reservation, began, answered=False) from None
            except BaseException as error:
                with anyio.CancelScope(shield=True):
                    await self._unanswered(attempt, item, reservation, error, sent=sent.sent)
                raise
            try:
                return await self._judge(attempt, item, answer, reservation)
            except MaybeBilled as error:
                raise self._unresolved(error, attempt, reservation, began, answered=True) from None

    async def _unanswered(
        self, attempt: str, item: Item, reservation: Reservation, error: BaseException, *, sent: bool
    ) -> None:
        """Close an attempt that got no answer, whatever the reason: what was never sent was never billed."""
        why = "the run was stopped"
        if isinstance(error, NotSent) and error.local:
            self.admission.crowded(reservation)
        elif isinstance(error, NotSent):
            self._provider_failed(item, error)
        elif isinstance(error, StopRun):
            # Before anything is awaited: what fails for all is not tried by the next one.
            self.stop.request(error)
        if isinstance(error, PipelineError):
            why = str(error)
        elif isinstance(error, Exception):
            why = f"a mistake in the program ({type(error).__name__})"
        if sent:
            await self._receipts.maybe(attempt, reservation, f"{why} while it waited for the answer")
        else:
            await self.ledger.outcome(attempt, "rejected", utc_now(), error=f"not sent: {why}")

    def _unresolved(
        self, error: MaybeBilled, attempt: str, reservation: Reservation, began: float, *, answered: bool
    ) -> MaybeBilled:
        if not answered:
            self.stats.requests += 1
        error.attempt, error.price, error.booked = attempt, reservation.price, reservation.cost
        error.age = anyio.current_time() - began
        if self._cuts.constant(error.age):
            self.tell(ConnectionsCutOff(CUTS, error.age))
        return error

    async def _judge(self, attempt: str, item: Item, answer: wire.Answer, reservation: Reservation) -> Generation:
        self.stats.requests += 1
        self.server.hear(answer.headers.get("date"))
        asked = self._asked(item)
        error = verdict(answer, asked)
        if error is None or isinstance(error, RateLimited | GiveUp):
            self.admission.answered()
        if error is None:
            self.admission.accepted()
            self.retries.succeeded()
            found = await self._receipts.paid(attempt, item, answer, reservation, asked)
            if isinstance(found, Generation):
                return found
            error = found
        elif isinstance(error, MaybeBilled) or answer.status < 300:
            # A page in the place of an answer, too: it stops the run, and does not say that nothing was billed.
            if isinstance(error, StopRun):
                self.stop.request(error)
            await self._receipts.maybe(attempt, reservation, str(error), answer)
            raise error
        elif not isinstance(error, StopRun):
            self._receipts.spoken = self._receipts.spoken or speaks(answer)
        await self._refused(attempt, item, answer, reservation, error)
        raise error

    def _asked(self, item: Item) -> AnswerContext:
        """What an answer that comes now is an answer to."""
        known, client = self._receipts, self.client
        delivered = item.model in known.delivered
        return AnswerContext(item.id, item.model, client.url, client.setting, known.spoken, delivered, item.prompt)

    async def _refused(
        self, attempt: str, item: Item, answer: wire.Answer, reservation: Reservation, error: PipelineError
    ) -> None:
        """Act on a refusal that was not billed, and write it down."""
        if isinstance(error, RateLimited):
            self._paused(error, self.admission.refused_for_its_rate(reservation, error.retry_after))
        elif isinstance(error, Unavailable):
            self._provider_failed(item, error)
        elif isinstance(error, StopRun):
            # Before anything is awaited: nobody else may send with a key that was refused.
            self.stop.request(error)
        await self.ledger.outcome(attempt, "rejected", utc_now(), status=answer.status, error=str(error))
        self.tell(RequestRefused(attempt, item.id, answer.status, str(error)))

    def _paused(self, error: RateLimited, seconds: float) -> None:
        now = anyio.current_time()
        if seconds >= 1 and now >= self._quiet_until:
            self._quiet_until = now + max(seconds, self.policy.pause_told_every)
            self.tell(PauseAsked(seconds, str(error)))

    def _provider_failed(self, item: Item, error: NotSent | Unavailable) -> None:
        if self.admission.failed(item.id, error):
            self.tell(ProviderOut(str(error), self.admission.breaker.left))
