"""What the ledger says about money: what attempts have cost, and of which of them that is not known."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import StorageFailed
from pipeline.ledger.refusals import REFUSALS, storage_failed
from pipeline.ledger.rows import Attempt, CostBreakdown, columns

ATTEMPT = columns(Attempt)
WITHOUT_ANSWER = ATTEMPT.replace("answer", "NULL AS answer")
_FIRST = (0,)
_RUNS_OF_BASE = "SELECT id FROM runs WHERE base = ?"
_SECONDS = "(julianday(created_at) - 2440587.5) * 86400.0"
"""When an attempt was made, in seconds since the epoch by our clock."""

_BOOKS = """
SELECT CASE
        WHEN state = 'lost' THEN 'lost'
        WHEN state != 'paid' THEN 'unresolved'
        WHEN delivered IS NULL THEN 'undelivered'
        WHEN delivered = 0 THEN 'filtered'
        WHEN lost >= delivered THEN 'lost'
        WHEN files + lost = 0 THEN 'undelivered'
        ELSE 'delivered' END AS kind,
    count(*), sum(cost),
    sum(CASE WHEN delivered > lost THEN cost * lost / delivered ELSE 0 END),
    sum(CASE WHEN files + lost BETWEEN 1 AND delivered - 1
        THEN cost - cost * lost / delivered - cost * files / delivered ELSE 0 END),
    sum(state = 'paid'), sum(state = 'paid' AND tokens IS NULL AND usd IS NULL)
FROM (
    SELECT state, delivered, lost, tokens, usd, coalesce(tokens, price, 0) AS cost,
        (SELECT count(*) FROM takes WHERE attempt = attempts.id AND takes.state = 'saved') AS files
    FROM attempts
    WHERE state IN ('intent', 'maybe', 'lost', 'accepted', 'paid') AND (:run IS NULL OR run = :run)
        AND (:base IS NULL OR run IN (SELECT id FROM runs WHERE base = :base))
        AND (:sandbox IS NULL OR (run IN (SELECT id FROM runs WHERE base = 'sandbox'
            UNION SELECT run FROM attempts WHERE made_by IS NOT NULL)) = :sandbox)
)
GROUP BY kind
"""
"""Attempts; tokens; what of those tokens pictures cost that are lost, and that are still to be fetched, from an answer
that was delivered in part; paid answers; paid answers that gave no cost. `:sandbox`: 1 for runs that a sandbox answered
alone, 0 for the others."""


class BillingReader:
    """The part of `LedgerReader` that is about attempts and what they cost."""

    path: Path
    _reader: sqlite3.Connection

    def maybe_billed(self) -> list[Attempt]:
        """The attempts that may have been billed and that no run has reported yet, oldest first.

        They are those of runs that have not ended, and what such a run has found to be less certain than it was.
        """
        open_runs = "SELECT id FROM runs WHERE ended_at IS NULL"
        query = (
            f"SELECT {ATTEMPT} FROM attempts WHERE state = 'maybe' "
            f"AND (run IN ({open_runs}) OR settled_by IN ({open_runs})) ORDER BY seq"
        )
        return [self._whole(attempt_of(row)) for row in self._read(query, ())]

    def ever_maybe_billed(self) -> list[Attempt]:
        """Every attempt of any run that may have been billed without an answer, oldest first."""
        return self._without_answers("state = 'maybe' ORDER BY seq")

    def in_state(self, state: str) -> list[Attempt]:
        """Every attempt of any run in one state, oldest first, without its answer."""
        return self._without_answers("state = ? ORDER BY seq", state)

    def lost(self, *, run: str | None = None) -> list[Attempt]:
        """The attempts that were billed and never gave an answer that can be read, as found by one run or by all."""
        return self._without_answers("state = 'lost' AND (? IS NULL OR settled_by = ?) ORDER BY seq", run, run)

    def unsettled(self, base: str) -> list[Attempt]:
        """The attempts sent to `base` that may have been billed, and of which no log has been asked yet."""
        where = f"state = 'maybe' AND settled_at IS NULL AND run IN ({_RUNS_OF_BASE}) ORDER BY seq"
        return self._without_answers(where, base)

    def to_look_up_again(self, base: str, at: str | None = None) -> list[Attempt]:
        """The attempts sent to `base` for which the log is to be read once more, by a time or at any later one."""
        where = f"next_look IS NOT NULL AND (? IS NULL OR next_look <= ?) AND run IN ({_RUNS_OF_BASE}) ORDER BY seq"
        return self._without_answers(where, at, at, base)

    def in_doubt(self, base: str, at: str | None = None) -> bool:
        """Whether a log is to be asked about attempts that were sent to `base`, by a time or at any later one."""
        return bool(self.unsettled(base) or self.to_look_up_again(base, at))

    def attempt(self, id: str, *, answer: bool = True) -> Attempt | None:  # noqa: A002
        """The attempt of this id, without its `answer`, which may be large, on request; None where there is none."""
        rows = self._read(f"SELECT {ATTEMPT} FROM attempts WHERE id = ?", (id,))
        found = [attempt_of(row) for row in rows]
        return next((self._whole(attempt) if answer else attempt for attempt in found), None)

    def has_attempt(self, id: str) -> bool:  # noqa: A002
        """Whether an attempt of this id was ever sent."""
        return bool(self._read("SELECT 1 FROM attempts WHERE id = ?", (id,)))

    def receipts(self, base: str, start: float, end: float) -> list[str]:
        """The attempts sent to `base` in a time, by its own clock, that were paid for and brought pictures.

        Those of which the server's clock at sending is not known are left out.

        Args:
            base: Where they were sent.
            start: Seconds since the epoch, by the server's clock.
            end: The same.
        """
        query = (
            "SELECT id FROM attempts WHERE state = 'paid' AND delivered > 0 AND skew IS NOT NULL "
            f"AND run IN ({_RUNS_OF_BASE}) AND {_SECONDS} + skew BETWEEN ? AND ?"
        )
        return [label for (label,) in self._read(query, (base, start, end))]

    def attempts_of(self, base: str) -> Iterator[Attempt]:
        """Every attempt sent to `base`, oldest first, without its answer."""
        query = f"SELECT {WITHOUT_ANSWER} FROM attempts WHERE run IN ({_RUNS_OF_BASE}) ORDER BY seq"
        return map(attempt_of, self._stream(query, base))

    def span(self, base: str) -> tuple[float, float] | None:
        """When the first and the last attempt were sent to `base`, in seconds since the epoch, by the server's clock.

        By ours, where the server's is not known; None where there was none.
        """
        sent = f"{_SECONDS} + coalesce(skew, 0)"
        query = f"SELECT min({sent}), max({sent}) FROM attempts WHERE run IN ({_RUNS_OF_BASE})"
        first, last = self._read(query, (base,))[0]
        return None if first is None else (float(first), float(last))

    def has_run(self, run: str) -> bool:
        """Whether a run is known."""
        return bool(self._read("SELECT 1 FROM runs WHERE id = ?", (run,)))

    def has_key(self, start: str) -> bool:
        """Whether anything was ever asked for under a key that starts so."""
        query = "SELECT 1 FROM attempts WHERE key >= ? AND key < ? LIMIT 1"
        return bool(self._read(query, (start, f"{start}~")))

    def elsewhere(self, base: str) -> int:
        """How many attempts that cost, or may have cost, something were sent to other places than `base`.

        Those of the sandbox that runs start for themselves are left out: they cost nothing.
        """
        where = "state IN ('intent', 'maybe', 'lost', 'accepted', 'paid')"
        runs = "SELECT id FROM runs WHERE base NOT IN (?, 'sandbox')"
        query = f"SELECT count(*) FROM attempts WHERE {where} AND run IN ({runs})"
        return int(self._read(query, (base,))[0][0])

    def base_of(self, attempt: str) -> str | None:
        """Where an attempt was sent."""
        rows = self._read("SELECT base FROM runs JOIN attempts ON runs.id = run WHERE attempts.id = ?", (attempt,))
        return rows[0][0] if rows else None

    def knows(self, inference_id: str | None) -> bool:
        """Whether an answer with the vendor's id has come."""
        return bool(self._read("SELECT 1 FROM attempts WHERE inference_id = ? LIMIT 1", (inference_id,)))

    def spent_since(self, at: str, *, base: str) -> int:
        """Tokens that attempts since a time have cost or may have cost, as a run counts them that asks `base`.

        Money is money wherever it went; what a sandbox counted is counted by runs that ask the same sandbox only.
        """
        play = "SELECT run FROM attempts WHERE made_by IS NOT NULL"
        query = (
            "SELECT coalesce(sum(coalesce(tokens, price, 0)), 0) FROM attempts "
            "WHERE state IN ('intent', 'maybe', 'lost', 'accepted', 'paid') AND created_at >= :at AND run IN (SELECT "
            f"id FROM runs WHERE base = :base OR (base != 'sandbox' AND :base != 'sandbox' AND id NOT IN ({play})))"
        )
        return int(self._read(query, {"at": at, "base": base})[0][0])

    def of_inference(self, inference_id: str | None) -> str | None:
        """The attempt that the vendor's id belongs to, or None where no answer with it has come."""
        rows = self._read("SELECT id FROM attempts WHERE inference_id = ? LIMIT 1", (inference_id,))
        return rows[0][0] if rows else None

    def books(self, *, run: str | None = None, base: str | None = None, sandbox: bool | None = None) -> CostBreakdown:
        """What the attempts of one run, of all that went to one base, or of all have cost.

        Args:
            run: Id of the run; all by default.
            base: Where the requests went; anywhere by default.
            sandbox: True for the runs that a sandbox answered, False for the others; both by default.
        """
        rows = self._read(_BOOKS, {"run": run, "base": base, "sandbox": sandbox})
        found = {kind: sums for kind, *sums in rows}
        delivered, undelivered, filtered, gone, unresolved = (
            found.get(kind, (0, 0, 0, 0)) for kind in ("delivered", "undelivered", "filtered", "lost", "unresolved")
        )
        return CostBreakdown(
            delivered=delivered[1] - delivered[2] - delivered[3],
            undelivered=undelivered[1] + delivered[3],
            filtered=filtered[1],
            lost=gone[1] + delivered[2],
            unresolved=unresolved[1],
            requests=(delivered[0], undelivered[0], filtered[0], gone[0], unresolved[0]),
            answers=sum(sums[4] for sums in found.values()),
            unknown_cost=sum(sums[5] for sums in found.values()),
        )

    def sandbox_runs(self) -> frozenset[str]:
        """The ids of the runs that a sandbox answered: nothing was paid in them."""
        query = "SELECT id FROM runs WHERE base = 'sandbox' UNION SELECT run FROM attempts WHERE made_by IS NOT NULL"
        return frozenset(run for (run,) in self._read(query, ()))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let everything that is read meanwhile be of one moment, though a run may be writing."""
        self._read("BEGIN", ())
        try:
            yield
        finally:
            self._read("COMMIT", ())

    def _whole(self, attempt: Attempt) -> Attempt:
        """The same attempt with its answer, where that is large and lies elsewhere."""
        parts = self._read("SELECT body FROM answers WHERE attempt = ? ORDER BY part", (attempt.id,))
        return replace(attempt, answer=b"".join(part for (part,) in parts)) if parts else attempt

    def _without_answers(self, where: str, *parameters: Any) -> list[Attempt]:
        return [
            attempt_of(row) for row in self._read(f"SELECT {WITHOUT_ANSWER} FROM attempts WHERE {where}", parameters)
        ]

    def _stream(self, query: str, *parameters: Any) -> Iterator[Any]:
        try:
            with closing(self._reader.execute(query, parameters)) as cursor:
                yield from cursor
        except REFUSALS as error:
            raise storage_failed(self.path, error) from None

    def _read(self, query: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
        try:
            return self._reader.execute(query, parameters).fetchall()
        except REFUSALS as error:
            raise storage_failed(self.path, error) from None


def attempt_of(row: Sequence[Any]) -> Attempt:
    """A row of `attempts` as a value.

    Raises:
        StorageFailed: It is damaged.
    """
    known = list(row)
    try:
        known[6] = _FIRST if row[6] == "[0]" else tuple(json.loads(row[6]))
    except (ValueError, TypeError):
        raise StorageFailed(
            f"the ledger is damaged: attempt {row[1]} asks for nothing; bring it back from a copy"
        ) from None
    return Attempt(*known)
