"""The plan as data: what is to be done about the job's items, decided and counted once, and handed out piece by piece.

What was planned is what is done: the limit is counted here and nowhere else, and whatever becomes of the job's files,
of its output folder or of the ledger while a run works, no item is decided on a second time.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.http.signed_urls import expires_at
from pipeline.ledger import ImageRow, LedgerReader
from pipeline.model import Item, PaidImage, Request, UnresolvedAttempt
from pipeline.output.filenames import SUFFIXES
from pipeline.output.local import is_there
from pipeline.plan.decision import Decision, is_forced, requests, unresolved_attempt
from pipeline.plan.planner import Planner
from pipeline.plan.wanted import AT_ONCE, WantedItems
from pipeline.providers import catalogue
from pipeline.text import plural


@dataclass(frozen=True, slots=True)
class Rename:
    """A sound file that must bear another name."""

    item: Item
    row: ImageRow


Work = Request | PaidImage | UnresolvedAttempt | Rename


@dataclass(slots=True)
class WorkList:
    """What one run has to do.

    Attributes:
        wanted: The job's items; keeps the list.
        planner: Decides about them.
        check: Passes the decisions on, and objects to what could not be carried out.
        images: Images to ask for or to download.
        asked: Of these, how many are asked for.
        tokens: What asking for them costs by list price.
        renames: Sound files that must bear another name.
    """

    wanted: WantedItems
    planner: Planner
    check: Callable[[Iterator[Decision]], Iterable[Decision]] = iter
    images: int = 0
    asked: int = 0
    tokens: int = 0
    renames: int = 0
    _rows: list[tuple[int, str]] = field(default_factory=list)
    _urgent: list[tuple[float, int, str]] = field(default_factory=list)

    def plan(self) -> None:
        """Decide about every item. A list that was made before is forgotten.

        Raises:
            StorageFailed: The ledger can't be read, the list can't be kept, or `check` objects.
        """
        self.wanted.clear_work()
        self.images = self.asked = self.tokens = self.renames = 0
        for seq, decision in enumerate(self.check(self.planner.decisions(iter(self.wanted))), 1):
            if decision.images_to_make or decision.rename:
                self._add(seq, decision)
        self._flush()

    def __bool__(self) -> bool:
        return bool(self.images or self.renames)

    def work(self) -> Iterator[Work]:
        """All there is to do: first what is paid for and has an end, the soonest first; then the rest in job order.

        Raises:
            StorageFailed: The ledger or the list can't be read.
        """
        for item, step in self.wanted.urgent():
            yield from self._paid_images(item, [json.loads(step)])
        for item, text in self.wanted.work():
            steps = json.loads(text)
            if steps["rename"]:
                rows = self.planner.ledger.images(item.key)
                yield from (Rename(item, rows[index]) for index in steps["rename"] if index in rows)
            yield from self._paid_images(item, steps["fetch"])
            yield from self._unresolved(item, steps["unresolved"])
            yield from requests(item, steps["ask"], steps["forced"], catalogue.of(item.model).max_images)

    def _add(self, seq: int, decision: Decision) -> None:
        item, unresolved_images = decision.item, sum(len(case.request.indexes) for case in decision.unresolved)
        self.images += decision.images_to_make
        self.renames += len(decision.rename)
        self.asked += len(decision.ask) + unresolved_images
        self.tokens += (len(decision.ask) + unresolved_images) * (catalogue.of(item.model).price or 0)
        fetch = []
        for paid in decision.fetch:
            until = expires_at(paid.image.url or "")
            if until is None:
                fetch.append(_step(paid))
            else:
                self._urgent.append((until, seq, json.dumps(_step(paid))))
        steps: dict[str, Any] = {
            "ask": decision.ask,
            "forced": is_forced(decision),
            "fetch": fetch,
            "unresolved": [(case.attempt, case.request.indexes) for case in decision.unresolved],
            "rename": [row.idx for row in decision.rename],
        }
        self._rows.append((seq, json.dumps(steps)))
        if len(self._rows) >= AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        self.wanted.add_work(self._rows)
        self.wanted.add_urgent(self._urgent)
        self._rows, self._urgent = [], []

    def _paid_images(self, item: Item, steps: Sequence[list[Any]]) -> Iterator[PaidImage]:
        for index, attempts, replaces, overdue, again, insisted in steps:
            found = [paid for id_ in attempts if (paid := self._paid_image(item, index, id_)) is not None]
            if found:
                first, *others = found
                yield PaidImage(
                    item, index, first.image, first.attempt, replaces, overdue, again, insisted,
                    paid_at=first.paid_at, others=tuple(others),
                )  # fmt: skip

    def _paid_image(self, item: Item, index: int, id_: str) -> PaidImage | None:
        attempt = self.planner.ledger.attempt(id_)
        if attempt is None:
            return None
        pictures, position = self.planner.pictures(attempt), attempt.indexes.index(index)
        if position >= len(pictures):
            return None
        return PaidImage(item, index, pictures[position], attempt.id, paid_at=attempt.created_at)

    def _unresolved(self, item: Item, unresolved: Sequence[tuple[str, Sequence[int]]]) -> Iterator[UnresolvedAttempt]:
        for id_, indexes in unresolved:
            attempt = self.planner.ledger.attempt(id_)
            if attempt is not None:
                yield unresolved_attempt(item, indexes, attempt)


def spare_paid_pictures(work: WorkList, ledger: LedgerReader, output: Path, *, elsewhere: bool = False) -> None:
    """Let no placeholder take the name of a picture that was paid for.

    `elsewhere`: the placeholders are those of a sandbox that stands in the real API's place.

    Raises:
        UsageError: One would.
    """
    asked = ((item, json.loads(text)["ask"]) for item, text in work.wanted.work())
    paid = [name for item, indexes in asked for name in paid_names(item, indexes, ledger, output, elsewhere=elsewhere)]
    if paid:
        shown = ", ".join(paid[:3]) + (" …" if len(paid) > 3 else "")
        raise UsageError(
            f"{plural(len(paid), 'picture')} that were paid for would give way to the sandbox's placeholders "
            f"({shown}); nothing was changed. "
            + ("A sandbox answers at the API's address: " if elsewhere else "To make them at the real API: ")
            + ("correct AIML_API_BASE or the job's `endpoint`. " if elsewhere else "--endpoint aimlapi. ")
            + "To have the placeholders: --placeholders (what was paid for is kept in .pipeline/replaced)"
        )


def paid_names(
    item: Item, indexes: Iterable[int], ledger: LedgerReader, output: Path, *, elsewhere: bool = False
) -> Iterator[str]:
    """The files, of an item's images that are to be asked for, whose name belongs to a picture that was paid for.

    `elsewhere`: what a sandbox in the real API's place has made was not paid for either.
    """
    for index in indexes:
        for suffix in SUFFIXES:
            path = item.stem(index) + suffix
            rows = ledger.at_path(path)
            paid = (row for row in rows if not ledger.in_sandbox(row.key))
            if any(not (elsewhere and _is_placeholder(row, ledger)) for row in paid) and is_there(output / path):
                yield path


def _is_placeholder(row: ImageRow, ledger: LedgerReader) -> bool:
    attempt = ledger.attempt(row.attempt, answer=False) if row.attempt else None
    return attempt is not None and attempt.made_by is not None


def _step(paid: PaidImage) -> list[Any]:
    attempts = [paid.attempt, *(other.attempt for other in paid.others)]
    return [paid.index, attempts, paid.replaces, paid.overdue, paid.is_remake, paid.insisted]
