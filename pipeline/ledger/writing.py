"""The ledger: what was asked, what was paid for, and what became of it. SQLite, and the only truth.

An attempt is `intent → rejected | maybe → (lost | unbilled) | accepted | paid`. Its intent is committed before its
POST leaves; a paid answer is committed, as the bytes that came, before anything parses it or downloads a picture. So
whenever the program is killed: an intent without an outcome may have been billed, and a paid answer without a saved
image can be finished from here without asking (and paying) again. What may have been billed is settled by the vendor's
log: it is `lost`, with its price, or `unbilled`. A paid answer that can't be read is `lost` at once. What an
asynchronous API has `accepted` is never posted again by itself. An image is `saved` or `failed`; an image that is
neither has its claim, if it has one, in the newest paid answer that covers it. Each picture of a paid answer is a
*take*, once it is a file or can't be had any more: what has no take is still to be fetched.

Everybody who writes at the same moment shares one commit (`committing`), and no flush of the disk ever holds up the
event loop.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.ledger import statements
from pipeline.ledger.reading import LedgerReader, check, connect
from pipeline.ledger.refusals import REFUSALS, storage_failed
from pipeline.ledger.rows import ImageRow
from pipeline.model import Item


class Ledger(LedgerReader):
    """The open ledger of one output folder, to write in; whoever holds the folder's lock may. A context manager.

    Raises:
        StorageFailed: The file can't be opened or written, is no ledger, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._writer = connect(path, "rwc")
            try:
                check(self._writer, path)
            except BaseException:
                self._writer.close()
                raise
        except REFUSALS as error:
            raise storage_failed(path, error) from None
        try:
            super().__init__(path)
        except BaseException:
            self._writer.close()
            raise
        # Imported here: whoever only reads needs no event loop.
        from pipeline.ledger.group_commit import GroupCommit

        self._committer = GroupCommit(self._writer, path)
        self.run: str | None = None
        """The run that writes, once one has begun."""

    def close(self) -> None:
        """Commit what is still waiting and close the file."""
        self._committer.close()
        super().close()
        # Last: it puts what the log holds into the file.
        self._writer.close()

    def start_run(self, run: str, at: str, endpoint: str, base: str | None = None) -> None:
        """Open a run; intents that a killed run left without an outcome become *maybe billed*.

        `endpoint` is the job's word for where it asks, `base` the place itself.
        """
        self.run = run
        self._committer.write_now(
            ("DELETE FROM stamp", ()),
            (
                "INSERT INTO runs (id, started_at, endpoint, base) VALUES (?, ?, ?, ?)",
                (run, at, endpoint, base or endpoint),
            ),
            (
                "UPDATE attempts SET state = 'maybe', ended_at = ?, error = ? WHERE state = 'intent'",
                (at, "the run was killed before the answer came"),
            ),
        )

    def end_run(self, run: str, at: str, exit_code: int) -> None:
        """Close a run that is about to report, and with it the killed ones that it reports for."""
        self._committer.write_now(
            ("UPDATE runs SET exit_code = ? WHERE id = ?", (exit_code, run)),
            ("UPDATE runs SET ended_at = ? WHERE ended_at IS NULL", (at,)),
        )

    async def intend(
        self,
        attempt: str,
        run: str,
        item: Item,
        indexes: Sequence[int],
        price: int | None,
        at: str,
        *,
        skew: float | None = None,
    ) -> None:
        """An attempt is about to be sent.

        `skew`: seconds by which the server's clock is ahead of ours, as far as its answers have said; None: unknown.
        """
        await self._committer.write(
            (
                "INSERT INTO attempts (id, run, key, item, model, indexes, price, state, created_at, skew) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, 'intent', ?, ?)",
                (attempt, run, item.key, item.id, item.model, json.dumps(indexes), price, at, skew),
            )
        )

    async def accepted(
        self,
        attempt: str,
        at: str,
        *,
        status: int,
        answer: bytes | bytearray,
        ticket: str,
        inference_id: str | None,
        error: str,
    ) -> None:
        """An asynchronous API has taken an attempt in: it may bill it, and its picture must be asked for by `ticket`.

        From here on nothing posts it again but by a person's word.
        """
        small, parts = statements.answer(attempt, answer)
        await self._committer.write(
            (
                "UPDATE attempts SET state = 'accepted', ended_at = ?, status = ?, answer = ?, ticket = ?, "
                "inference_id = ?, error = ? WHERE id = ?",
                (at, status, small, ticket, inference_id, error, attempt),
            ),
            *parts,
        )

    async def outcome(
        self,
        attempt: str,
        state: str,
        at: str,
        *,
        status: int | None = None,
        error: str,
        answer: bytes | bytearray | None = None,
        inference_id: str | None = None,
    ) -> None:
        """An attempt came to nothing: `rejected` (not billed) or `maybe` (nobody can say)."""
        small, parts = statements.answer(attempt, answer)
        await self._committer.write(
            (
                "UPDATE attempts SET state = ?, ended_at = ?, status = ?, error = ?, answer = coalesce(?, answer), "
                "inference_id = coalesce(?, inference_id) WHERE id = ?",
                (state, at, status, error, small, inference_id, attempt),
            ),
            *parts,
        )

    async def paid(
        self,
        attempt: str,
        at: str,
        *,
        status: int,
        answer: bytes | bytearray,
        inference_id: str | None,
        made_by: str | None,
        cost: tuple[int | None, float | None] = (None, None),
    ) -> None:
        """The answer of an attempt, as it came. From here on nothing asks for it again.

        `cost` is what its headers say: tokens and USD. What the answer itself says is for `understood`.
        """
        small, parts = statements.answer(attempt, answer)
        await self._committer.write(
            (
                "UPDATE attempts SET state = 'paid', ended_at = ?, status = ?, answer = ?, inference_id = ?, "
                "made_by = ?, tokens = ?, usd = ? WHERE id = ?",
                (at, status, small, inference_id, made_by, *cost, attempt),
            ),
            *parts,
        )

    async def settled(
        self,
        attempt: str,
        state: str,
        at: str,
        *,
        tokens: int | None = None,
        usd: float | None = None,
        error: str,
        next_look: str | None = None,
    ) -> None:
        """What a log said of an attempt that may have been billed: `lost`, `unbilled`, or still `maybe`.

        With `lost` come the tokens and USD that were billed for it. `next_look`: when the log is to be read for it
        once more; None for never. An image that was given up because nobody could say is no longer given up for that.
        """
        await self._committer.write(
            (
                "UPDATE attempts SET state = ?, settled_at = ?, checks = checks + 1, tokens = coalesce(?, tokens), "
                "usd = coalesce(?, usd), settled_by = ?, next_look = ?, error = CASE WHEN state = ? AND checks "
                "THEN error ELSE coalesce(error || '; ', '') || ? END WHERE id = ?",
                (state, at, tokens, usd, self.run, next_look, state, error, attempt),
            ),
            (statements.NO_LONGER_MAYBE, (error, attempt)),
        )

    async def unreadable(self, attempt: str, at: str, error: str) -> None:
        """A paid answer that can't be read: it is lost, and its bytes stay to be looked at."""
        await self._committer.write(statements.lost(attempt, at, error, self.run))

    def lose_unreadable(self, attempt: str, at: str, error: str, run: str) -> None:
        """The same for an answer that a killed run took in, found by `run`; in the caller's thread."""
        self._committer.write_now(statements.lost(attempt, at, error, run))

    def stamp(self, facts: str) -> None:
        """Leave word that there is nothing more to do; the next run takes it away."""
        self._committer.write_now(("DELETE FROM stamp", ()), ("INSERT INTO stamp (facts) VALUES (?)", (facts,)))

    def belong_to(self, output: str) -> None:
        """Write down which output folder this ledger is about, where it does not lie in it."""
        self._committer.write_now(("DELETE FROM folder", ()), ("INSERT INTO folder (output) VALUES (?)", (output,)))

    def understood(self, attempt: str, delivered: int, tokens: int | None, usd: float | None) -> None:
        """What the answer says it holds and cost. It can be read from the answer again, so it waits for no commit."""
        statement = (
            "UPDATE attempts SET delivered = ?, tokens = coalesce(?, tokens), usd = coalesce(?, usd) WHERE id = ?",
            (delivered, tokens, usd, attempt),
        )
        self._committer.add(statement)

    async def saved(self, item: Item, row: ImageRow) -> None:
        """An image is whole, checked and in its place."""
        await self._committer.write(
            statements.image(row),
            statements.recipe(item),
            *statements.take(row, "saved"),
            (
                # Pictures that came inside the answer are files now: the database need not hold them twice.
                "DELETE FROM answers WHERE attempt = ?1 AND (SELECT delivered FROM attempts WHERE id = ?1) <= "
                "(SELECT count(*) FROM images WHERE key = ?2 AND attempt = ?1 AND state = 'saved')",
                (row.attempt, item.key),
            ),
        )

    async def failed(self, row: ImageRow) -> None:
        """An image has failed; `row.cause` and `row.error` say why."""
        lost = row.cause in ("lost", "bad-picture")
        await self._committer.write(statements.image(row), *(statements.take(row, "lost") if lost else ()))

    async def not_remade(self, row: ImageRow) -> None:
        """A picture that was to take the place of a saved one can't be had any more; the saved one stays.

        `row` is what would have been written, had nothing been there: `attempt` is the one that paid for it, and
        `attempts` are all that were made for the image so far, which need not be looked at again.
        """
        attempts = "UPDATE images SET attempts = ? WHERE key = ? AND idx = ?"
        await self._committer.write((attempts, (row.attempts, row.key, row.idx)), *statements.take(row, "lost"))

    async def moved(self, row: ImageRow, path: str, mtime_ns: int | None) -> None:
        """A saved image is now at another path."""
        await self._committer.write(statements.move(row, path, mtime_ns))

    async def renamed(self, item: Item, row: ImageRow, path: str) -> None:
        """A saved image bears the name that the job wants for it now, and is what its item is made from."""
        await self._committer.write(statements.move(row, path, row.mtime_ns), statements.recipe(item))

    def distrust(self, key: str, index: int) -> None:
        """Let the next run read this file again instead of trusting its size and time."""
        self._committer.write_now(("UPDATE images SET mtime_ns = NULL WHERE key = ? AND idx = ?", (key, index)))
