"""Charges that the vendor's log has and a ledger lacks."""

import re
from dataclasses import dataclass
from typing import Any

from pipeline.model import CREDITS_PER_USD
from pipeline.text import grouped, plural, printable, usd

RUNS_NAMED = 5

_LABEL = re.compile(r"(\d{8})t(\d{6})[^0-9a-z]?([0-9a-f]{6})[^0-9a-z]?([0-9a-f]{12})[^0-9a-z]?(\d{6,})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Label:
    """What an attempt was sent as, in our own form: the run, the first digits of the item's key, the attempt."""

    run: str
    key: str
    attempt: str

    @classmethod
    def of(cls, text: str | None) -> "Label | None":
        """The same of a row's label, in whatever case and with whatever between its parts; None: it is not ours."""
        found = _LABEL.fullmatch(text.strip()) if text else None
        if found is None:
            return None
        run, key = f"{found[1]}T{found[2]}-{found[3].lower()}", found[4].lower()
        return cls(run, key, f"{run}.{key}.{found[5]}")


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """Charges that the ledger does not know, newest runs first.

    Attributes:
        requests: How many.
        tokens: What they cost, as far as the log says.
        runs: The ids of the runs that made them.
        complete: False where the log has more rows than were read: there may be more of them.
        ledger: The ledger that lacks them.
    """

    ledger: str
    requests: int = 0
    tokens: int = 0
    runs: tuple[str, ...] = ()
    complete: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        return {"requests": self.requests, "tokens": self.tokens, "runs": self.runs, "complete": self.complete}

    def said(self) -> str:
        """What was found, and what to do, for people."""
        if not self.requests:
            return (
                "the vendor's log is long: only its newest rows were read for charges of this job that the ledger "
                "lacks; `audit` reads all of them"
            )
        money = f"{grouped(self.tokens)} tokens ({usd(self.tokens / CREDITS_PER_USD)})"
        named = ", ".join(self.runs[:RUNS_NAMED])
        rest = f" and {len(self.runs) - RUNS_NAMED} more" if len(self.runs) > RUNS_NAMED else ""
        some = "" if self.complete else " at least"
        return (
            f"the vendor's log has{some} {plural(self.requests, 'charge')}, {money}, for images of this job by "
            f"{'a run' if len(self.runs) == 1 else 'runs'} that the ledger does not know ({named}{rest}): an older "
            "ledger was brought back, or another copy of this job runs elsewhere. What they paid for may be bought "
            f"again. Bring the newer {printable(self.ledger)} and the manifest of that time back, then run again"
        )
