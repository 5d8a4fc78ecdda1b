"""What the vendor tells about the account: what is left on it, and what was billed.

Read with the same key as the requests. An endpoint that is not the vendor's may have nothing of it: then `NoLog` is
raised, and nobody can prove anything.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from pipeline.api.wire import amount, parse_json, whole_number
from pipeline.errors import KeyRefused, PipelineError, TryAgain
from pipeline.model import CREDITS_PER_USD
from pipeline.pace import Pace
from pipeline.settings import Endpoint

BALANCE = "/v2/billing"
LOGS = "/v2/logs"

PAGE = 100
"""Rows of one page, at most."""

MOST_ROWS = 1_000_000
"""Rows of one query that are read: more than a fleet makes in a night. A log that has still more has no end."""

CALLS_A_MINUTE = 150
"""Calls of the log; the vendor answers 200 in a minute."""

LONGEST_WINDOW = 90 * 86_400
"""Seconds that one query looks over, at most; the vendor allows 92 days."""

TIMEOUT = 30.0
"""Seconds for one call."""

MAX_PAGE = 4 * 1024 * 1024
"""Bytes of an answer that are read."""

CENTURY = 3.2e9
"""Seconds by which no clock is wrong."""

_MISSING = frozenset({404, 405, 410, 501})


class NoLog(PipelineError):
    """This endpoint has no such thing, or not in the vendor's form."""


class NoAnswer(TryAgain):
    """It could not be read just now."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One request as the vendor's log knows it.

    Attributes:
        client_request_id: What it was sent as; None where nothing was sent, or nothing that the vendor keeps.
        inference_id: The vendor's own id.
        created: When, in seconds since the epoch by the vendor's clock; None where it can't be read.
        model: The model's id.
        credits: What it cost.
        usd: The same in dollars, None where it does not say.
    """

    client_request_id: str | None
    inference_id: str | None
    created: float | None
    model: str | None
    credits: int
    usd: float | None


class Account:
    """The account behind one endpoint.

    Attributes:
        skew: Seconds by which the vendor's clock is ahead of ours, as far as its answers have said; to the second.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: Endpoint,
        *,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._pace = pace or Pace(CALLS_A_MINUTE)
        self._clock = clock
        self.skew = 0.0

    async def balance(self) -> float:
        """US dollars left on the account.

        Raises:
            KeyRefused: The key is not valid.
            NoLog: The endpoint does not tell.
            NoAnswer: It can't be asked just now.
        """
        found = await self._get(BALANCE, {})
        left = amount(found.get("current_balance"))
        if left is None or found.get("currency", "USD") != "USD":
            raise NoLog("the balance is not told in dollars")
        return left

    async def probe(self) -> None:
        """Find out whether there is a log, and what the vendor's clock says.

        Raises:
            KeyRefused: The key is not valid.
            NoLog: The endpoint has no log.
            NoAnswer: It can't be read just now.
        """
        now = self._clock()
        async for _ in self.logged(now - 1, now):
            break

    async def logged(self, start: float, end: float) -> AsyncIterator[Logged]:
        """Every request that the vendor has taken from `start` until before `end`, newest first.

        Rows may come twice where others are booked meanwhile: they are paged by offset, from the newest on.

        Args:
            start: Seconds since the epoch, by our clock.
            end: The same.

        Raises:
            KeyRefused: The key is not valid.
            NoLog: The endpoint has no log.
            NoAnswer: It can't be read just now.
        """
        while start < end:
            until = end
            end = max(start, end - LONGEST_WINDOW)
            async for row in self._window(end, until):
                yield row

    async def _window(self, start: float, end: float) -> AsyncIterator[Logged]:
        offset, more = 0, True
        before: list[Any] = []
        while more:
            await self._pace.turn()
            query: dict[str, str | int] = {
                "start": self._moment(start),
                "end": self._moment(end),
                "limit": PAGE,
                "offset": offset,
            }
            found = await self._get(LOGS, query)
            rows, pagination = found.get("data"), found.get("pagination")
            if not isinstance(rows, list) or not isinstance(pagination, dict):
                raise NoLog("the log is not in the vendor's form")
            if rows and rows == before:
                raise NoLog("the log gives the same page again and again")
            before = rows
            if offset >= MOST_ROWS:
                raise NoLog("the log does not come to an end")
            for row in rows:
                if isinstance(row, dict):
                    yield _logged(row)
            offset += len(rows)
            more = bool(rows) and bool(pagination.get("has_more"))

    def _moment(self, seconds: float) -> str:
        """A moment of our clock on the vendor's, RFC 3339."""
        moment = datetime.fromtimestamp(seconds + self.skew, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def _get(self, path: str, query: Mapping[str, str | int]) -> dict[str, Any]:
        key = self._endpoint.key
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {key.reveal()}"} if key else {})
        try:
            async with self._session.get(
                self._endpoint.base + path,
                params=query,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            ) as response:
                self._set_clock(response.headers.get("Date"))
                body = bytearray()
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > MAX_PAGE:
                        raise NoLog(f"{path} answers with more than anybody wants to know")
                return _understood(path, response.status, bytes(body))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Only the type is told: the texts of some of these hold the request's headers, and with them the key.
            raise NoAnswer(f"{path} can't be read ({type(error).__name__})") from None

    def _set_clock(self, date: str | None) -> None:
        try:
            ahead = parsedate_to_datetime(date or "").timestamp() - self._clock()
        except (ValueError, TypeError, OverflowError):
            return
        # The header tells whole seconds: what is less than a few of them is no skew, and a century is no clock.
        self.skew = ahead if 5 < abs(ahead) < CENTURY else 0.0


def _understood(path: str, status: int, body: bytes) -> dict[str, Any]:
    if status == 401:
        raise KeyRefused(f"the API refused the key (401 for {path}); check the key in AIML_API_KEY")
    if status in _MISSING or 300 <= status < 400 or status == 403:
        raise NoLog(f"{path} answers {status}")
    if status != 200:
        raise NoAnswer(f"{path} answers {status}")
    try:
        found = parse_json(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise NoLog(f"{path} answers in a form of its own")
    return found


def _logged(row: Mapping[str, Any]) -> Logged:
    found = row.get("cost")
    cost: Mapping[str, Any] = found if isinstance(found, dict) else {}
    dollars, credits_ = amount(cost.get("usd")), whole_number(cost.get("credits"))
    if credits_ is None:
        credits_ = round((dollars or 0.0) * CREDITS_PER_USD)
    return Logged(
        client_request_id=_text(row.get("client_request_id")),
        inference_id=_text(row.get("inference_id")),
        created=_seconds(row.get("created")),
        model=_text(row.get("model")),
        credits=0 if row.get("status") == "failed" else credits_,
        usd=dollars,
    )


def _text(value: Any) -> str | None:
    # Without lone surrogates, which JSON can hold and a ledger can't.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) and value else None


def _seconds(value: Any) -> float | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        return None
