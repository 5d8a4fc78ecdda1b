"""What the vendor tells about the account: what is left on it, and what was billed.

Read with the same key as the requests. An endpoint that is not the vendor's may have nothing of it: then `NoLog` is
raised, and nobody can prove anything.
"""

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from pipeline.clock import ServerClock
from pipeline.errors import KeyRefused, PipelineError, TryAgain
from pipeline.http.unanswered import why
from pipeline.http.wire import SANDBOX_HEADER, amount, parse_json
from pipeline.limits.call_window import CallWindow
from pipeline.limits.policy import STANDARD, Policy
from pipeline.model import CREDITS_PER_USD
from pipeline.settings import Endpoint

BALANCE = "/v2/billing"
LOGS = "/v2/logs"

PAGE = 100
"""Rows of one page, at most."""

LONGEST_WINDOW = 90 * 86_400
"""Seconds that one query looks over, at most; the vendor allows 92 days."""

TIMEOUT = 30.0
"""Seconds for one call."""

_MISSING = frozenset({404, 405, 410, 501})


class NoLog(PipelineError):
    """This endpoint has no such thing, or not in the vendor's form."""


class TooLong(NoLog):
    """The log has more rows than are to be read, or no end at all."""


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
        credits: What it cost; 0 where that can't be read.
        usd: The same in dollars, None where it does not say.
        billed: Whether it was billed; None where the row does not prove it either way.
    """

    client_request_id: str | None
    inference_id: str | None
    created: float | None
    model: str | None
    credits: int
    usd: float | None
    billed: bool | None


class Account:
    """The account behind one endpoint.

    Attributes:
        server: The vendor's clock, by which all times of the log are.
        is_sandbox: A sandbox has answered in its place.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: Endpoint,
        policy: Policy = STANDARD,
        *,
        calls: CallWindow | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._policy = policy
        self._calls = calls or CallWindow(policy.log_calls_a_minute)
        self.server = ServerClock(clock)
        self.is_sandbox = False

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
        now = self.server.now()
        async with aclosing(self.logged(now - 1, now)) as rows:
            async for _ in rows:
                break

    async def logged(self, start: float, end: float, *, most: int | None = None) -> AsyncGenerator[Logged, None]:
        """Every request that the vendor has taken from `start` until before `end`, newest first.

        Rows may come twice where others are booked meanwhile: they are paged by offset, from the newest on.

        Args:
            start: Seconds since the epoch, by the vendor's clock.
            end: The same.
            most: Rows that are read in each window of `LONGEST_WINDOW`; as the policy says by default.

        Raises:
            KeyRefused: The key is not valid.
            NoLog: The endpoint has no log; `TooLong` after `most` rows, where there are more.
            NoAnswer: It can't be read just now.
        """
        while start < end:
            until = end
            end = max(start, end - LONGEST_WINDOW)
            async for row in self._window(end, until, self._policy.log_rows if most is None else most):
                yield row

    async def _window(self, start: float, end: float, most: int) -> AsyncGenerator[Logged, None]:
        offset, more = 0, True
        before: list[Any] = []
        while more:
            await self._calls.turn()
            query: dict[str, str | int] = {
                "start": _moment(start),
                "end": _moment(end),
                "limit": PAGE,
                "offset": offset,
            }
            rows, more = _page(await self._get(LOGS, query), offset)
            if rows and rows == before:
                raise NoLog("the log gives the same page again and again")
            before = rows
            if rows and offset >= most:
                raise TooLong(f"the log has more than {most:,} rows from {_moment(start)} to {_moment(end)}")
            for row in rows:
                yield _logged(row if isinstance(row, dict) else {})
            offset += len(rows)

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
                self.server.hear(response.headers.get("Date"))
                self.is_sandbox = self.is_sandbox or SANDBOX_HEADER in response.headers
                body = bytearray()
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > self._policy.log_page_bytes:
                        raise NoLog(f"{path} answers with more than anybody wants to know")
                return _understood(path, response.status, bytes(body))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswer(f"{path} can't be read ({why(error)})") from None


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


def _moment(seconds: float) -> str:
    """A moment of the vendor's clock, RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _page(found: Mapping[str, Any], offset: int) -> tuple[list[Any], bool]:
    """The rows of one page of the log, and whether there may be more.

    A page is the last one only where the log says so: a server that names no `has_more`, or no `pagination` at all, is
    asked until it gives an empty page, for a charge on a page that nobody reads would pass for "not billed".

    Raises:
        NoLog: It is not in the vendor's form, or contradicts itself.
    """
    rows, pagination = found.get("data"), found.get("pagination")
    if not isinstance(rows, list) or not (rows or offset or isinstance(pagination, dict)):
        raise NoLog("the log is not in the vendor's form")
    said: Mapping[str, Any] = pagination if isinstance(pagination, dict) else {}
    more, total = said.get("has_more"), said.get("total")
    left = isinstance(total, int) and offset + len(rows) < total
    if not rows:
        if more is True or left:
            raise NoLog("the log says that there is more, and gives none")
        return [], False
    return rows, left or more is not False


def _logged(row: Mapping[str, Any]) -> Logged:
    cost = row.get("cost")
    tokens = _tokens(cost)
    return Logged(
        client_request_id=_text(row.get("client_request_id")),
        inference_id=_text(row.get("inference_id")),
        created=_seconds(row.get("created")),
        model=_text(row.get("model")),
        credits=tokens or 0,
        usd=amount(cost.get("usd")) if isinstance(cost, dict) else None,
        billed=_billed(row.get("status"), tokens),
    )


def _billed(status: Any, tokens: int | None) -> bool | None:
    """Whether a row proves that its request was billed, or that it was not.

    Three cases: 1. `failed`, and no cost: not billed; the vendor documents that a failed request costs nothing.
    2. `succeeded`, or a log that names no status, and a cost: billed. 3. All else proves nothing: still pending, failed
    and yet with a cost, succeeded for nothing, a cost that can't be read. A charge may come of it, or a refund.
    """
    word = status.strip().lower() if isinstance(status, str) else status
    if word == "failed" and tokens == 0:
        return False
    return True if word in ("succeeded", None) and tokens else None


def _tokens(cost: Any) -> int | None:
    """What a row says that its request cost; 0 where it names no cost, None where it can't be read.

    A bare number can't: it may be dollars as well as credits.
    """
    if cost is None:
        return 0
    if not isinstance(cost, dict):
        return None
    named = {name: cost.get(name) for name in ("credits", "usd") if cost.get(name) is not None}
    sums = {name: amount(value) for name, value in named.items()}
    if found := sums.get("credits"):
        return max(1, int(found))
    if dollars := sums.get("usd"):
        return max(1, round(dollars * CREDITS_PER_USD))
    return None if None in sums.values() else 0


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
