"""Subtract what is there from what must be there: which images are left to make, and why.

The decision about one item is a plain function of the job's item, the ledger's rows and the files on disk; it sends
nothing and changes nothing. `plan` shows the decisions, `run` acts on them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pipeline.errors import GiveUp
from pipeline.generated import GeneratedImage
from pipeline.ledger import Attempt, ImageRow, Known, LedgerReader, Recipe
from pipeline.model import Item, PaidImage
from pipeline.plan.decision import ABSENT, SETTLED, Decision, Reason, Selection, limited, unresolved_attempt

FileState = Literal["sound", "missing", "damaged"]


_FETCHED_AGAIN = frozenset({Reason.MISSING, Reason.DAMAGED})
"""Reasons for which a picture that was fetched before is fetched once more."""

_FAULT_OF_ENDPOINT = frozenset({"rejected", "moderated", "filtered"})
"""Causes that are one endpoint's word: another one may say something else."""


@dataclass(frozen=True, slots=True)
class Planner:
    """Decides item by item.

    Attributes:
        ledger: What the ledger says.
        inspect: The state of the file that a saved row speaks of.
        pictures: The pictures in a paid attempt's answer, in its order.
        base: Base URL of the endpoint; pictures that a sandbox elsewhere made in the real API's place do not count.
        selection: Which part of the job this is about.
        asked_at: Where requests of this run go, as the ledger's runs have it: `base`, or `sandbox`.
    """

    ledger: LedgerReader
    inspect: Callable[[ImageRow], FileState]
    pictures: Callable[[Attempt], Sequence[GeneratedImage]]
    base: str
    selection: Selection = field(default_factory=Selection)
    asked_at: str = ""

    def decisions(self, items: Iterator[Item] | Sequence[Item]) -> Iterator[Decision]:
        """The decision about each item, in the job's order; the selection's limit is counted along the way."""
        left = self.selection.limit
        for item, known in self.ledger.of_items(items):
            if not self.selection.covers(item.id):
                yield Decision(item, dict.fromkeys(range(item.count), Reason.LEFT_OUT))
                continue
            decision = self._decide(item, known)
            if left is not None:
                decision = limited(decision, left)
                left -= decision.images_to_make
            yield decision

    def absent(self, items: Iterator[Item] | Sequence[Item]) -> frozenset[tuple[str, int]]:
        """Key and index of each image of the job that was saved once and is not there as the job wants it."""
        return frozenset(
            (decision.item.key, index)
            for decision in replace(self, selection=Selection()).decisions(items)
            for index, why in decision.reasons.items()
            if why in ABSENT
        )

    def decide(self, item: Item) -> Decision:
        """What is to be done about one item."""
        return self._decide(item, self.ledger.known(item))

    def _decide(self, item: Item, known: Known) -> Decision:
        if not known.images and not known.attempts:
            indexes = range(item.count)
            return Decision(item, dict.fromkeys(indexes, self._reason(item, None, known)), tuple(indexes))
        rows, attempts = known.images, known.attempts
        reasons: dict[int, Reason] = {}
        ask: list[int] = []
        fetch: list[PaidImage] = []
        rename: list[ImageRow] = []
        unresolved_images: dict[str, list[int]] = {}
        for index in range(item.count):
            row = rows.get(index)
            reason = self._reason(item, row, known)
            paid = self._paid_image(item, index, row, attempts, reason)
            if not (row or paid or self._is_insisted) and _is_accepted(index, attempts):
                reason = Reason.ACCEPTED
            if paid:
                fetch.append(paid)
                reason = reason if reason in _FETCHED_AGAIN else Reason.PAID
            elif reason not in SETTLED and (found := self._unresolved(index, row, attempts)):
                unresolved_images.setdefault(found.id, []).append(index)
                reason = Reason.DOUBT if found.open else Reason.LOST
            elif reason not in SETTLED:
                ask.append(index)
            elif reason is Reason.UNCHANGED and row and row.path and _misnamed(row.path, item.stem(index)):
                rename.append(row)
            reasons[index] = reason
        unresolved = tuple(
            unresolved_attempt(item, unresolved_images[attempt.id], attempt)
            for attempt in attempts
            if attempt.id in unresolved_images
        )
        return Decision(item, reasons, tuple(ask), tuple(fetch), unresolved, tuple(rename))

    @property
    def _is_insisted(self) -> bool:
        """Whether a person wants to have asked again what would otherwise wait."""
        return self.selection.force or self.selection.retry_failed

    def _unresolved(self, index: int, row: ImageRow | None, attempts: Sequence[Attempt]) -> Attempt | None:
        """The newest attempt for an image, where nobody knows if it was billed, or nobody acted on knowing it."""
        newest = next((attempt for attempt in reversed(attempts) if index in attempt.indexes), None)
        if newest is None or newest.open:
            return newest
        unacted = row is None or (row.state == "failed" and row.cause in GiveUp.AGAIN)
        return newest if unacted and not self._is_insisted and newest.state in ("maybe", "lost") else None

    def _reason(self, item: Item, row: ImageRow | None, known: Known) -> Reason:
        if self.selection.force:
            return Reason.FORCED
        if row is None:
            return self._why_new(item, known.recipe)
        if row.state == "failed":
            if self.selection.retry_failed or row.cause in GiveUp.AGAIN:
                return Reason.FAILED
            if row.cause == "accepted":
                return Reason.ACCEPTED
            return Reason.MOVED if self._failed_elsewhere(row, known.attempts) else Reason.GIVEN_UP
        made_by = next((attempt.made_by for attempt in known.attempts if attempt.id == row.attempt), None)
        if made_by not in (None, self.base):
            return Reason.PLACEHOLDER
        state = self.inspect(row)
        return {"sound": Reason.UNCHANGED, "missing": Reason.MISSING, "damaged": Reason.DAMAGED}[state]

    def _why_new(self, item: Item, recipe: Recipe | None) -> Reason:
        if recipe is None or recipe.key == item.key:
            return Reason.NEW
        if recipe.prompt == item.prompt and self.ledger.in_sandbox(recipe.key) != item.sandbox:
            return Reason.REAL if item.sandbox else Reason.PLACEHOLDER
        return Reason.PARAMETERS if recipe.prompt == item.prompt else Reason.PROMPT

    def _failed_elsewhere(self, row: ImageRow, attempts: Sequence[Attempt]) -> bool:
        """Whether it was another endpoint that said what the image has failed for."""
        if row.cause not in _FAULT_OF_ENDPOINT or not self.asked_at:
            return False
        newest = next((attempt for attempt in reversed(attempts) if row.idx in attempt.indexes), None)
        return newest is not None and self.ledger.base_of(newest.id) != self.asked_at

    def _paid_image(
        self, item: Item, index: int, row: ImageRow | None, attempts: Sequence[Attempt], reason: Reason
    ) -> PaidImage | None:
        """The picture in the newest paid answer that covers this image, where there is one to be had.

        Three cases: 1. The file is gone, its download may still succeed, or a person wants it tried again: every answer
        counts, for a picture that is paid for is fetched before it is paid for again. 2. Otherwise, only an answer that
        came after the row was written: its run was cut off before it could fetch what it had paid for, be it the first
        picture or one that is to take the place of another. 3. An attempt of which the answer is not kept has been
        brought home in full.
        """
        covering = [attempt for attempt in attempts if index in attempt.indexes]
        fetched_again = reason in _FETCHED_AGAIN or reason is Reason.FAILED
        if row and not fetched_again:
            covering = covering[row.attempts :]
        found = [
            PaidImage(item, index, picture, attempt.id, paid_at=attempt.created_at)
            for attempt in reversed(covering)
            if (picture := self._picture(attempt, index)) is not None
        ]
        if not found:
            return None
        first, *others = found
        failed = row is not None and row.state == "failed"
        replaces = row is not None and row.path is not None and fetched_again
        return replace(
            first,
            replaces=replaces,
            overdue=failed and replaces,
            insisted=reason is Reason.FORCED or (failed and self.selection.retry_failed),
            is_remake=row is not None and not failed and not fetched_again,
            others=tuple(others),
        )

    def _picture(self, attempt: Attempt, index: int) -> GeneratedImage | None:
        """The picture that an attempt was paid for, where its answer is kept and holds it."""
        if attempt.state != "paid" or attempt.made_by not in (None, self.base):
            return None
        position = attempt.indexes.index(index)
        if attempt.delivered is not None and position >= attempt.delivered:
            return None
        pictures = self.pictures(self._with_answer(attempt))
        return pictures[position] if position < len(pictures) else None

    def _with_answer(self, attempt: Attempt) -> Attempt:
        """The attempt with its answer, which is looked up for nothing but what is really to be fetched."""
        return attempt if attempt.answer is not None else (self.ledger.attempt(attempt.id) or attempt)


def _is_accepted(index: int, attempts: Sequence[Attempt]) -> bool:
    newest = next((attempt for attempt in reversed(attempts) if index in attempt.indexes), None)
    return newest is not None and newest.state == "accepted"


def _misnamed(path: str, stem: str) -> bool:
    return path.rpartition(".")[0] != stem
