"""One run of the shop's job, with what happens to it meanwhile, as a value; and what it came to."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal
from unittest.mock import patch

import anyio

from pipeline import Record, Selection, Summary, UsageError, load_job, run_async
from pipeline.ledger.group_commit import GroupCommit
from pipeline.limits.breaker import CircuitBreaker
from pipeline.listeners.progress import Progress
from pipeline.run.up_to_date import RunRequest, unchanged
from sandbox.request_log import RequestLog
from tests.policies import QUICK
from tests.state_machine.shop import KEY, Shop

Kind = Literal["counted", "commit", "post", "record"]
"""A moment of a run: it has counted what there is to do, commits to its ledger, is heard by the upstream, or is done
with an image."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The moment of one kind that comes as the `number`th, from 1."""

    kind: Kind
    number: int = 1


@dataclass(frozen=True, slots=True)
class Night:
    """How the job is run once.

    Attributes:
        selection: Which part of it.
        fault: What is wrong with the upstream meanwhile.
        strikes: How often that comes; None for always.
        budget: Tokens it may spend; None for any number.
        concurrency: Requests in flight at once.
        downloads: Downloads in flight at once.
        kill: When it is cut off; None to let it end by itself.
        edit: When somebody edits the job meanwhile; None for never.
    """

    selection: Selection = field(default_factory=Selection)
    fault: str = "none"
    strikes: int | None = None
    budget: int | None = None
    concurrency: int = 2
    downloads: int = 16
    kill: Moment | None = None
    edit: Moment | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a night came to.

    Attributes:
        summary: What the run said of itself; None where it was cut off, or refused to begin.
        opened_at: Requests that the upstream had heard when the breaker opened; None where it did not.
        refused: Whether it refused to begin.
    """

    summary: Summary | None = None
    opened_at: int | None = None
    refused: bool = False


class Moments:
    """Counts the moments of a run, and does what is due at them."""

    def __init__(self) -> None:
        self._seen: dict[Kind, int] = {}
        self._due: dict[Moment, list[Callable[[], object]]] = {}

    def at(self, moment: Moment | None, do: Callable[[], object]) -> None:
        """Do something when a moment comes."""
        if moment is not None:
            self._due.setdefault(moment, []).append(do)

    def pass_(self, kind: Kind, *_: Any) -> None:
        """A moment of this kind has come."""
        self._seen[kind] = self._seen.get(kind, 0) + 1
        for do in self._due.pop(Moment(kind, self._seen[kind]), ()):
            do()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See the moments of whatever runs in this block."""
        with ExitStack() as stack:
            for name in ("write", "write_now"):
                stack.enter_context(patch.object(GroupCommit, name, self._before(getattr(GroupCommit, name), "commit")))
            stack.enter_context(patch.object(RequestLog, "enter", self._before(RequestLog.enter, "post")))
            yield

    def _before(self, call: Callable[..., Any], kind: Kind) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.pass_(kind)
            return call(*arguments, **options)

        return counted


def limits(night: Night) -> dict[str, Any]:
    """The limits of a night; a dead provider is given up soon, and what was lost is bought again."""
    return {
        "concurrency": night.concurrency,
        "downloads": night.downloads,
        "billing_lag": 0,
        "patience": 0.5,
        "retry_paid_budget_usd": 1_000,
        "budget_tokens": night.budget,
    }


async def run(shop: Shop, night: Night, edit: Callable[[], object]) -> Result:
    """Run the job as the command line does: first whether it is known to have nothing to do, then the long way."""
    environ = {"AIML_API_KEY": KEY}
    # Into the file itself: a job that is given limits beside it is never taken for one with nothing to do.
    shop.limits = {name: value for name, value in limits(night).items() if value is not None}
    shop.write()
    if night.selection == Selection():
        nothing = unchanged(RunRequest(shop.job, None, None), environ)
        if nothing is not None:
            return Result(nothing)
    job = load_job(shop.job)
    moments, opened = Moments(), list[int]()
    moments.at(night.edit, edit)

    def progress(total: int) -> Progress:
        moments.pass_("counted")
        return Progress(total)

    def on_record(_: Record) -> None:
        moments.pass_("record")

    summary: Summary | None = None
    with moments.watching(), _noting(shop, opened), anyio.CancelScope() as scope:
        moments.at(night.kill, scope.cancel)
        call = partial(run_async, selection=night.selection, environ=environ, policy=QUICK)
        try:
            summary = await call(job, progress=progress, on_record=on_record)
        except UsageError:  # no id of the job is like those of --only
            return Result(refused=True)
    # What was on its way when the run was cut off still arrives.
    for _ in range(20):
        await anyio.sleep(0.001)
    return Result(summary, opened[0] if opened else None)


@contextmanager
def _noting(shop: Shop, opened: list[int]) -> Iterator[None]:
    """Note the requests that the upstream had heard each time when the breaker opened."""
    real = CircuitBreaker.record_failure

    def failed(self: CircuitBreaker, item: str, error: Any) -> bool:
        before = self.is_open
        told = real(self, item, error)
        if self.is_open and not before:
            opened.append(shop.sandbox.request_log.count())
        return told

    with patch.object(CircuitBreaker, "record_failure", failed):
        yield
