"""`audit`: hold the ledger against the vendor's log, attempt by attempt, to the credit. It changes nothing."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import anyio

from pipeline import settings, web
from pipeline.api.account import Account, Logged, NoAnswer, NoLog
from pipeline.commands.opening import STATE, ledger_path
from pipeline.commands.summary import books_dict, books_line
from pipeline.commands.wiring import settle_seconds, start
from pipeline.errors import ProviderUnavailable, UsageError
from pipeline.ledger import Attempt, Books, LedgerReader
from pipeline.model import CREDITS_PER_USD, Job
from pipeline.produce import seconds_of
from pipeline.text import grouped, plural, printable, usd

MARGIN = 300.0
"""Seconds before the first attempt and after now that the log is read for."""

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Difference:
    """One attempt of which the ledger and the log say different things.

    Attributes:
        client_request_id: The attempt.
        item: Id of the item it was for, None where the ledger does not know it.
        ledger: Tokens by the ledger.
        log: Tokens by the log.
        what: What is wrong, for people.
    """

    client_request_id: str
    item: str | None
    ledger: int
    log: int
    what: str


@dataclass(slots=True)
class Audit:
    """What the ledger and the log say of all runs that asked one endpoint.

    Attributes:
        endpoint: The endpoint.
        books: By the ledger; what is unresolved counts as far as the log knows it.
        logged: Tokens by the log.
        requests: Requests of this job's runs in the log that cost something.
        late: Paid attempts that are too young to be in the log.
        late_tokens: What they cost.
        differences: Attempts that are not the same in both.
    """

    endpoint: str
    books: Books = field(default_factory=Books)
    logged: int = 0
    requests: int = 0
    late: int = 0
    late_tokens: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        """Whether every credit is accounted for."""
        return not self.differences and self.books.billed - self.late_tokens == self.logged

    def as_dict(self) -> dict[str, Any]:
        """The audit as JSON can hold it."""
        return {
            "endpoint": self.endpoint,
            "balanced": self.balanced,
            "books": books_dict(self.books),
            "logged": self.logged,
            "requests": self.requests,
            "late": self.late,
            "late_tokens": self.late_tokens,
            "differences": [{name: getattr(one, name) for name in Difference.__slots__} for one in self.differences],
        }

    def lines(self) -> Iterator[str]:
        """The audit as a person reads it."""
        yield f"{self.endpoint}: {books_line(self.books)}"
        if self.late:
            yield f"  not booked by the vendor yet: {plural(self.late, 'request')}, {grouped(self.late_tokens)} tokens"
        billed = f"{grouped(self.logged)} tokens ({usd(self.logged / CREDITS_PER_USD)})"
        yield f"  by the vendor's log: {plural(self.requests, 'billed request')}, {billed}"
        if self.balanced:
            yield "  balanced, to the credit"
        for one in self.differences[:SHOWN]:
            name = printable(one.item or "unknown", 60)
            sums = f"ledger {grouped(one.ledger)}, log {grouped(one.log)}"
            yield f"  {one.client_request_id} ({name}): {one.what}: {sums}"
        if len(self.differences) > SHOWN:
            yield f"  and {grouped(len(self.differences) - SHOWN)} more differences"


def audit(job: Job, environ: Mapping[str, str] | None = None) -> Audit:
    """Compare everything that this job's runs have asked of its endpoint with the vendor's log.

    Args:
        job: The job, from `load_job`.
        environ: Where the key and the base URL are looked up; the process's environment by default.

    Raises:
        KeyRefused: There is no key, or the API refuses it.
        ProviderUnavailable: The log can't be read just now.
        StorageFailed: The ledger can't be read.
        UsageError: No run has asked this endpoint yet, or it has no log.
    """
    return anyio.run(partial(_audit, job, os.environ if environ is None else environ))


async def _audit(job: Job, environ: Mapping[str, str]) -> Audit:
    endpoint = settings.resolve(job.endpoint, environ)
    endpoint.require_key()
    base = endpoint.base_or_sandbox
    settle = settle_seconds(job.limits, base)
    async with AsyncExitStack() as stack:
        ledger = stack.enter_context(LedgerReader(ledger_path(job.output, job.state_dir)))
        first = ledger.first_attempt(base)
        if first is None:
            raise UsageError(
                f"no run of {job.name} has asked {job.endpoint} for anything yet: there is nothing to audit"
            )
        endpoint, _ = await start(endpoint, job.output / STATE / "sandbox", stack)
        network = settings.network(environ, job.proxy, job.user_agent)
        session = await stack.enter_async_context(web.api_session(concurrency=1, timeout=60.0, network=network))
        log = await _log(Account(session, endpoint), seconds_of(first), frozenset(ledger.runs_of(base)))
        found = Audit(job.endpoint, logged=sum(log.values()), requests=sum(1 for cost in log.values() if cost))
        _compare(found, ledger, base, log, settle)
        return found


async def _log(account: Account, first: float, runs: frozenset[str]) -> dict[str, int]:
    """Tokens that the log has for each attempt of these runs."""
    rows: dict[tuple[str, str | None], Logged] = {}
    try:
        await account.probe()
        async for row in account.logged(first - MARGIN, time.time() + MARGIN):
            label = row.client_request_id
            if label is not None and label.partition(".")[0] in runs:
                # A row may come twice, but an attempt may also have been billed twice.
                rows[label, row.inference_id] = row
    except NoLog as error:
        raise UsageError(f"this endpoint has no log to hold the ledger against: {error}") from None
    except NoAnswer as error:
        raise ProviderUnavailable(f"the vendor's log can't be read now: {error}; try again later") from None
    log: dict[str, int] = {}
    for (label, _), row in rows.items():
        log[label] = log.get(label, 0) + row.credits
    return log


def _compare(found: Audit, ledger: LedgerReader, base: str, log: dict[str, int], settle: float) -> None:
    now, unresolved = time.time(), 0
    for attempt in ledger.attempts_of(base):
        logged = log.pop(attempt.id, None)
        if attempt.state in ("intent", "maybe"):
            unresolved += logged or 0
        elif logged is None and _cost(attempt) and now - seconds_of(attempt.created_at) < settle:
            found.late += 1
            found.late_tokens += _cost(attempt)
        elif (difference := _difference(attempt, logged)) is not None:
            found.differences.append(difference)
    for label, tokens in log.items():
        if tokens:
            found.differences.append(Difference(label, None, 0, tokens, "billed, and not in the ledger"))
    books = ledger.books(base=base)
    found.books = replace(books, unresolved=unresolved)


def _difference(attempt: Attempt, logged: int | None) -> Difference | None:
    """What is wrong with an attempt that is settled and old enough to be in the log."""
    cost = _cost(attempt)
    if cost == (logged or 0):
        return None
    if logged is None:
        what = "paid by the ledger, and not in the log"
    elif not cost:
        what = f"{attempt.state} by the ledger, and billed"
    else:
        what = "another price than the ledger has"
    return Difference(attempt.id, attempt.item, cost, logged or 0, what)


def _cost(attempt: Attempt) -> int:
    """Tokens that an attempt has cost by the ledger."""
    if attempt.state not in ("paid", "lost"):
        return 0
    return attempt.price or 0 if attempt.tokens is None else attempt.tokens
