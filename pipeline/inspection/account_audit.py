"""`audit`: hold the ledger against the vendor's log, attempt by attempt, to the credit. It changes nothing."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import anyio

from pipeline import job as jobfile
from pipeline import settings
from pipeline.errors import ProviderUnavailable, UsageError
from pipeline.http import sessions
from pipeline.ledger import Attempt, CostBreakdown, LedgerReader
from pipeline.limits.policy import STANDARD, Policy
from pipeline.model import CREDITS_PER_USD, Job
from pipeline.providers.aimlapi.account import Account, Logged, NoAnswer, NoLog
from pipeline.report.charges import Label, Unrecorded
from pipeline.report.summary import MaybePaid, books_dict, books_line, maybe_dicts, maybe_lines, undelivered_lines
from pipeline.run.assemble import billing_lag_of, start
from pipeline.run.evidence import SoughtAttempt
from pipeline.run.unrecorded import Strangers
from pipeline.run.workspace import STATE, ledger_path
from pipeline.text import grouped, plural, printable, usd

MARGIN = 86_400.0
"""Seconds before the first attempt and after now that the log is read for: a clock may have been wrong."""

AT_LEAST = 30 * 86_400.0
"""Seconds back from now that the log is read for at least, however young the ledger is: it may not be the first."""

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
        books: By the ledger; what is unresolved, or was never read, counts as far as the log knows it.
        logged: Tokens by the log.
        requests: Requests of this job's runs in the log that cost something.
        late: Paid attempts that are too young to be in the log.
        late_tokens: What they cost.
        maybe_billed: Attempts of which the ledger does not know whether they were billed.
        accepted: Attempts that an asynchronous API has taken in, and whose pictures were never had.
        elsewhere: Attempts that went to other endpoints, and were not compared.
        unrecorded: Charges by runs that the ledger does not know.
        differences: Attempts that are not the same in both.
    """

    endpoint: str
    books: CostBreakdown = field(default_factory=CostBreakdown)
    logged: int = 0
    requests: int = 0
    late: int = 0
    late_tokens: int = 0
    maybe_billed: list[MaybePaid] = field(default_factory=list)
    accepted: list[MaybePaid] = field(default_factory=list)
    elsewhere: int = 0
    unrecorded: Unrecorded | None = None
    differences: list[Difference] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        """Whether every credit is accounted for, of all that is old enough to be in the log."""
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
            "maybe_billed": maybe_dicts(self.maybe_billed),
            "accepted": maybe_dicts(self.accepted),
            "elsewhere": self.elsewhere,
            "unrecorded": self.unrecorded.as_dict() if self.unrecorded else None,
            "differences": [{name: getattr(one, name) for name in Difference.__slots__} for one in self.differences],
        }

    def lines(self) -> Iterator[str]:
        """The audit as a person reads it."""
        yield f"{self.endpoint}: {books_line(self.books)}"
        if self.late:
            yield f"  not booked by the vendor yet: {plural(self.late, 'request')}, {grouped(self.late_tokens)} tokens"
        billed = f"{grouped(self.logged)} tokens ({usd(self.logged / CREDITS_PER_USD)})"
        yield f"  by the vendor's log: {plural(self.requests, 'billed request')}, {billed}"
        yield from undelivered_lines(self.books)
        yield from maybe_lines(self.maybe_billed, "unresolved, for no answer came")
        yield from maybe_lines(self.accepted, "unresolved, for an asynchronous API has accepted it and gave no picture")
        if self.elsewhere:
            yield f"  not compared: {plural(self.elsewhere, 'request')} to other endpoints; see `audit --endpoint`"
        if self.balanced:
            whole = not (self.late or self.maybe_billed or self.accepted or self.elsewhere)
            yield "  balanced, to the credit" if whole else "  what was compared is balanced"
        if self.unrecorded:
            yield f"  {self.unrecorded.said()}"
        for one in self.differences[:SHOWN]:
            name = printable(one.item or "unknown", 60)
            sums = f"ledger {grouped(one.ledger)}, log {grouped(one.log)}"
            yield f"  {one.client_request_id} ({name}): {one.what}: {sums}"
        if len(self.differences) > SHOWN:
            yield f"  and {grouped(len(self.differences) - SHOWN)} more differences"


def audit(job: Job, environ: Mapping[str, str] | None = None, policy: Policy = STANDARD) -> Audit:
    """Compare everything that this job's runs have asked of its endpoint with the vendor's log.

    Args:
        job: The job, from `load_job`.
        environ: Where the key and the base URL are looked up; the process's environment by default.
        policy: How much of the log is read, and how fast.

    Raises:
        KeyRefused: There is no key, or the API refuses it.
        ProviderUnavailable: The log can't be read just now.
        StorageFailed: The ledger can't be read.
        UsageError: No run has asked this endpoint yet, or it has no log.
    """
    return anyio.run(partial(_audit, job, os.environ if environ is None else environ, policy))


async def _audit(job: Job, environ: Mapping[str, str], policy: Policy) -> Audit:
    endpoint = settings.resolve(job.endpoint, environ)
    endpoint.require_key()
    base = endpoint.base_or_sandbox
    async with AsyncExitStack() as stack:
        ledger = stack.enter_context(LedgerReader(ledger_path(job.output, job.state_dir)))
        span = ledger.span(base)
        endpoint, _ = await start(endpoint, job.output / STATE / "sandbox", stack)
        network = settings.network(environ, job.proxy, job.user_agent)
        session = await stack.enter_async_context(sessions.api_session(concurrency=1, timeout=60.0, network=network))
        account, log = Account(session, endpoint, policy), _Log(ledger)
        await log.read(account, None if span is None else span[0])
        strange = log.of_job(job)
        if span is None and not strange:
            raise UsageError(
                f"no run of {job.name} has asked {job.endpoint} for anything yet: there is nothing to audit"
            )
        found = Audit(job.endpoint)
        with ledger.snapshot():
            _compare(found, ledger, base, log, account, billing_lag_of(job.limits, base, policy))
        _add_unrecorded(found, ledger, log, strange)
        return found


class _Log:
    """What the log has of a ledger's attempts, and of attempts that the ledger lacks."""

    def __init__(self, ledger: LedgerReader) -> None:
        self._ledger = ledger
        self._rows: dict[str, dict[tuple[str | None, float | None], Logged]] = {}
        self.strangers = Strangers(ledger)

    async def read(self, account: Account, first: float | None) -> None:
        """Read the log from the first attempt on, to its end.

        Raises:
            ProviderUnavailable: It can't be read just now.
            UsageError: There is none, or it has no end.
        """
        try:
            await account.probe()
            now = account.server.now()
            since = now - AT_LEAST if first is None else min(first, now - AT_LEAST)
            async with aclosing(account.logged(since - MARGIN, now + MARGIN)) as rows:
                async for row in rows:
                    self._take(row)
        except NoLog as error:
            raise UsageError(f"this endpoint has no log to hold the ledger against: {error}") from None
        except NoAnswer as error:
            raise ProviderUnavailable(f"the vendor's log can't be read now: {error}; try again later") from None

    def _take(self, row: Logged) -> None:
        label = Label.of(row.client_request_id)
        name = label.attempt if label else row.client_request_id
        known = name is not None and self._ledger.has_attempt(name)
        attempt = name if known else self._ledger.of_inference(row.inference_id)
        if attempt is not None:
            # A row may come twice, but an attempt may also have been billed twice.
            self._rows.setdefault(attempt, {})[row.inference_id, row.created] = row
        else:
            self.strangers.add(row)

    def of(self, attempt: str) -> tuple[int | None, bool]:
        """Tokens that an attempt has cost, None where it has no row; and whether its rows can be read."""
        rows = self._rows.get(attempt)
        if rows is None:
            return None, True
        return sum(row.credits for row in rows.values()), all(row.billed is not None for row in rows.values())

    def of_job(self, job: Job) -> Mapping[tuple[Label, str | None], Logged]:
        """The charges that the ledger lacks and that are this job's: by its runs, or for what it has or had in it."""
        found = self.strangers.found
        if not found:
            return {}
        ours = self.strangers.of_keys(item.key for item in jobfile.expand(job))
        ledger = self._ledger
        return {
            known: row
            for known, row in found.items()
            if known in ours or ledger.has_run(known[0].run) or ledger.has_key(known[0].key)
        }


def _compare(found: Audit, ledger: LedgerReader, base: str, log: _Log, account: Account, billing_lag: float) -> None:
    unresolved = unread = 0
    for attempt in ledger.attempts_of(base):
        logged, readable = log.of(attempt.id)
        found.logged += logged or 0
        found.requests += bool(logged)
        late = logged is None and _cost(attempt) and SoughtAttempt.of(attempt).age(account.server) < billing_lag
        if late:
            found.late += 1
            found.late_tokens += _cost(attempt)
        if not readable:
            what = "its row in the log says neither that it was billed nor that it was not"
            found.differences.append(Difference(attempt.id, attempt.item, _cost(attempt), logged or 0, what))
        elif attempt.state in _OPEN:
            (found.accepted if attempt.state == "accepted" else found.maybe_billed).append(MaybePaid.of(attempt))
        elif not late and (difference := _difference(attempt, logged)) is not None:
            found.differences.append(difference)
        if attempt.state in _OPEN:
            unresolved += logged or 0
        elif _is_unread(attempt) and logged is not None:
            # Its run was killed before it had read the answer: the list price stands in for what it cost.
            unread += logged - _cost(attempt)
    found.elsewhere = ledger.elsewhere(base)
    books = ledger.books(base=base)
    found.books = replace(books, unresolved=unresolved, undelivered=books.undelivered + unread)


def _add_unrecorded(
    found: Audit, ledger: LedgerReader, log: _Log, strange: Mapping[tuple[Label, str | None], Logged]
) -> None:
    for (label, _), row in strange.items():
        run = "" if ledger.has_run(label.run) else ": by a run that it does not know"
        found.differences.append(Difference(label.attempt, None, 0, row.credits, f"billed, and not in the ledger{run}"))
        found.logged += row.credits
        found.requests += 1
    unknown = {known: row for known, row in strange.items() if not ledger.has_run(known[0].run)}
    if unknown:
        found.unrecorded = log.strangers.told(unknown)


_OPEN = ("intent", "maybe", "accepted")
"""States of attempts that the ledger does not know the cost of."""


def _difference(attempt: Attempt, logged: int | None) -> Difference | None:
    """What is wrong with an attempt that is settled and old enough to be in the log."""
    cost = _cost(attempt)
    if cost == (logged or 0) or (logged and _is_unread(attempt)):
        return None
    if logged is None:
        what = "paid by the ledger, and not in the log"
    elif not cost:
        what = f"{attempt.state} by the ledger, and billed"
    else:
        what = "another price than the ledger has"
    return Difference(attempt.id, attempt.item, cost, logged or 0, what)


def _is_unread(attempt: Attempt) -> bool:
    """Whether a run was killed between an attempt's receipt and the reading of it."""
    return attempt.state == "paid" and attempt.delivered is None


def _cost(attempt: Attempt) -> int:
    """Tokens that an attempt has cost by the ledger."""
    if attempt.state not in ("paid", "lost"):
        return 0
    return attempt.price or 0 if attempt.tokens is None else attempt.tokens
