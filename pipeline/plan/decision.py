"""What is decided about an item: which of its images are to be made, how, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Literal

from pipeline.ledger import Attempt, ImageRow
from pipeline.model import Item, PaidImage, Request, UnresolvedAttempt


class Reason(StrEnum):
    """Why an image is to be made or not, in the words that `plan` prints."""

    UNCHANGED = "unchanged"
    NEW = "new"
    PROMPT = "prompt changed"
    PARAMETERS = "parameters changed"
    MISSING = "file missing"
    DAMAGED = "file damaged"
    FAILED = "failed before"
    PAID = "paid for, not downloaded yet"
    DOUBT = "may have been billed: the vendor's log is asked first"
    LOST = "billed without an answer"
    PLACEHOLDER = "made by a sandbox"
    REAL = "made by the real API, wanted from the sandbox"
    FORCED = "forced"
    GIVEN_UP = "failed before, waits for --retry-failed"
    ACCEPTED = "accepted by an asynchronous API, waits for --retry-failed"
    MOVED = "failed at another endpoint"
    LEFT_OUT = "left out by --only or --limit"


SETTLED = frozenset({Reason.UNCHANGED, Reason.GIVEN_UP, Reason.ACCEPTED, Reason.LEFT_OUT})
"""Reasons for which nothing is done."""

ABSENT = frozenset({Reason.MISSING, Reason.DAMAGED, Reason.PLACEHOLDER})
"""Reasons for which an image that was saved once is not there as the job wants it."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of the job a run is about.

    Attributes:
        only: Glob patterns of ids; empty for all.
        limit: Images to make at most; None for all.
        force: Make them even where they are there.
        retry_failed: Ask again for what has failed for good.
        placeholders: Let the sandbox's pictures take the names of pictures that were paid for.
    """

    only: tuple[str, ...] = ()
    limit: int | None = None
    force: bool = False
    retry_failed: bool = False
    placeholders: bool = False

    def covers(self, item: str) -> bool:
        """Whether the id of an item matches."""
        return not self.only or any(fnmatchcase(item, pattern) for pattern in self.only)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about one item.

    Attributes:
        item: The item.
        reasons: For each index, why.
        ask: Indexes to ask the API for.
        fetch: Pictures that are paid for and need only a download.
        unresolved: Requests that may have been, or were, billed without an answer; they must be settled first.
        rename: Rows whose sound file bears another name than the job wants now.
    """

    item: Item
    reasons: Mapping[int, Reason]
    ask: tuple[int, ...] = ()
    fetch: tuple[PaidImage, ...] = ()
    unresolved: tuple[UnresolvedAttempt, ...] = ()
    rename: tuple[ImageRow, ...] = ()

    @property
    def images_to_make(self) -> int:
        """How many images will be asked for or downloaded, if the unresolved ones turn out well."""
        return len(self.ask) + len(self.fetch) + sum(len(case.request.indexes) for case in self.unresolved)


def limited(decision: Decision, left: int) -> Decision:
    """The decision with at most `left` images to make; what is paid for comes first."""
    if decision.images_to_make <= left:
        return decision
    fetch = decision.fetch[:left]
    ask = decision.ask[: left - len(fetch)]
    dropped = set(decision.ask[len(ask) :]) | {paid.index for paid in decision.fetch[len(fetch) :]}
    left -= len(fetch) + len(ask)
    unresolved: list[UnresolvedAttempt] = []
    for case in decision.unresolved:
        if len(case.request.indexes) <= left:
            unresolved.append(case)
            left -= len(case.request.indexes)
        else:
            dropped |= set(case.request.indexes)
    reasons = {index: Reason.LEFT_OUT if index in dropped else reason for index, reason in decision.reasons.items()}
    return Decision(decision.item, reasons, ask, fetch, tuple(unresolved), decision.rename)


def is_forced(decision: Decision) -> bool:
    """Whether what is asked for is asked for again though it is there."""
    return all(decision.reasons.get(index) is Reason.FORCED for index in decision.ask)


def requests(item: Item, ask: Sequence[int], forced: bool, most: int) -> Iterator[Request]:
    """The requests that ask for what a decision leaves to ask, each for at most `most` images."""
    for start in range(0, len(ask), most):
        yield Request(item, tuple(ask[start : start + most]), forced)


def unresolved_attempt(item: Item, indexes: Sequence[int], attempt: Attempt) -> UnresolvedAttempt:
    """An attempt that may have been, or was, billed without an answer, as what it leaves to find out."""
    verdict: Literal["open", "lost", "unproven"] = "lost" if attempt.state == "lost" else "unproven"
    price = attempt.price if attempt.tokens is None else attempt.tokens
    return UnresolvedAttempt(
        Request(item, tuple(indexes)),
        attempt.id,
        attempt.created_at,
        price,
        attempt.error or "its run was killed before the answer came",
        verdict="open" if attempt.open else verdict,
        forgone=attempt.unreadable,
    )
