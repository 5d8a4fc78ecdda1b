"""Charges for a job's images that its ledger does not know.

Each request is labelled `run.key.number`: the account's log shows what was bought for this job by runs of which this
ledger has no trace, as when an older backup was brought back or a second copy of the folder runs.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing

from pipeline.ledger import LedgerReader
from pipeline.limits.policy import STANDARD, Policy
from pipeline.model import Item
from pipeline.providers.aimlapi.account import Account, Logged, TooLong
from pipeline.report.charges import Label, Unrecorded

WITHOUT_ATTEMPTS = 30 * 86_400.0
"""Seconds back from now that are read where the ledger has no attempt to begin from."""

OLDEST = 2 * 366 * 86_400.0
"""Seconds back from now that are read at most."""


async def unrecorded(
    account: Account,
    ledger: LedgerReader,
    base: str,
    items: Callable[[], Iterator[Item]],
    lag: float,
    policy: Policy = STANDARD,
) -> Unrecorded | None:
    """Look for charges for some items since the ledger's newest attempt; None where there are none.

    Args:
        account: Whose log is read, the newest rows of it.
        ledger: Knows the attempts that are its own.
        base: Where the requests go.
        items: Gives the items; called only where the log has an attempt that the ledger lacks.
        lag: Seconds by which a charge may be booked after its request was sent.
        policy: How many rows are read.

    Raises:
        KeyRefused: The key is not valid.
        NoLog: The endpoint has no log.
        NoAnswer: It can't be read just now.
    """
    await account.probe()
    now, span = account.server.now(), ledger.span(base)
    start = now - WITHOUT_ATTEMPTS if span is None else span[1] - lag
    complete, strange = start >= now - OLDEST, Strangers(ledger)
    try:
        rows = account.logged(min(max(start, now - OLDEST), now), now + lag, most=policy.log_rows_before_buying)
        complete = await strange.take(rows, policy.log_rows_before_buying) and complete
    except TooLong:
        complete = False
    mine = strange.of_keys(item.key for item in items()) if strange.found else {}
    return strange.told(mine, complete=complete) if mine or not complete else None


class Strangers:
    """The charges with a label of this program's that are no attempts of a ledger.

    Attributes:
        found: The rows, by label and the vendor's id: a row may come twice, an attempt may be billed twice.
    """

    def __init__(self, ledger: LedgerReader) -> None:
        self._ledger = ledger
        self.found: dict[tuple[Label, str | None], Logged] = {}

    async def take(self, rows: AsyncGenerator[Logged, None], most: int) -> bool:
        """Take in the rows of a log, `most` of them at most; False where it has more."""
        async with aclosing(rows):
            left = most
            async for row in rows:
                if left == 0:
                    return False
                self.add(row)
                left -= 1
        return True

    def add(self, row: Logged) -> None:
        """Take in a row, if it is a charge that the ledger lacks."""
        label = Label.of(row.client_request_id)
        if label and row.billed is not False and not self._ledger.has_attempt(label.attempt):
            self.found[label, row.inference_id] = row

    def told(self, rows: Mapping[tuple[Label, str | None], Logged], *, complete: bool = True) -> Unrecorded:
        """What some of them come to; `complete`: the log was read to its end."""
        runs = sorted({label.run for label, _ in rows}, reverse=True)
        tokens = sum(row.credits for row in rows.values())
        return Unrecorded(str(self._ledger.path), len(rows), tokens, tuple(runs), complete)

    def of_keys(self, keys: Iterable[str]) -> Mapping[tuple[Label, str | None], Logged]:
        """Those that were made for some keys. The keys are gone through once and not kept, for there may be many."""
        wanted = {label.key for label, _ in self.found}
        ours = {key[:12] for key in keys if key[:12] in wanted}
        return {known: row for known, row in self.found.items() if known[0].key in ours}
