"""What the vendor tells about money: the balance, the log of requests, and the ledger of charges."""

import base64
import binascii
import re
from collections import deque
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from sandbox.answers import answer, require_key, timestamp, usd
from sandbox.orders import Refusal
from sandbox.request_log import LoggedRequest
from sandbox.state import SandboxState

LONGEST_WINDOW = 92 * 86400
"""Seconds that one query may look over."""

CALLS, CALLS_SECONDS = 200, 60.0
"""So many calls of the log are answered in so many seconds."""

_PERIOD = re.compile(r"(\d{1,5})([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86400}


class AccountApi:
    """The handlers that read the request log."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._calls: deque[float] = deque(maxlen=CALLS)

    async def billing(self, request: web.Request) -> web.Response:
        """`GET /v2/billing`: what is left."""
        require_key(request, self._state)
        return answer(request, {"current_balance": usd(self._state.credits_left), "currency": "USD"})

    async def logs(self, request: web.Request) -> web.Response:
        """`GET /v2/logs`: one row a request, newest first, by offset."""
        require_key(request, self._state)
        self._count_call()
        start, end = self._window(request, "start", "end")
        limit, offset = _whole(request, "limit", 100, 1, 100), _whole(request, "offset", 0, 0, 10**9)
        where: dict[str, Any] = {"status": _choices(request, "status", ("succeeded", "failed"))}
        if "model" in request.query:
            where["model"] = request.query.getall("model")
        rows = self._state.request_log.page(start, end, limit=limit, offset=offset, **where)
        total = self._state.request_log.count_between(start, end, **where)
        more = offset + len(rows) < total
        pagination = {"limit": limit, "offset": offset, "total": total, "has_more": more}
        return answer(request, {"data": [_log(row) for row in rows], "pagination": pagination})

    async def transactions(self, request: web.Request) -> web.Response:
        """`GET /v2/billing/transactions`: one row a charge, newest first, by cursor."""
        require_key(request, self._state)
        start, end = self._window(request, "from", "to")
        limit, before = _whole(request, "limit", 100, 1, 100), _cursor(request.query.get("cursor"))
        charges = request.query.get("direction", "CHARGE") == "CHARGE"
        usage = request.query.get("type", "MODEL_USAGE") == "MODEL_USAGE"
        rows: list[LoggedRequest] = []
        if charges and usage:
            rows = self._state.request_log.page(start, end, limit=limit + 1, before=before, status="succeeded")
        page, more = rows[:limit], len(rows) > limit
        pagination = {"next_cursor": _as_cursor(page[-1].id) if more else None, "has_more": more}
        return answer(request, {"data": [_charge(row) for row in page], "pagination": pagination})

    def _count_call(self) -> None:
        now = self._state.clock()
        if len(self._calls) == CALLS and now - self._calls[0] < CALLS_SECONDS:
            wait = CALLS_SECONDS - (now - self._calls[0])
            raise Refusal(429, f"Too many requests: {CALLS} in {CALLS_SECONDS:.0f} s", retry_after=f"{wait + 1:.0f}")
        self._calls.append(now)

    def _window(self, request: web.Request, first: str, last: str) -> tuple[float, float]:
        """The time asked about, from its start until before its end, without what is not booked yet."""
        now = self._state.clock()
        period = _PERIOD.fullmatch(request.query.get("period", "24h"))
        if period is None:
            raise Refusal(400, "Invalid query: period: expected a number and m, h or d, like 24h")
        end = _moment(request, last, now)
        start = _moment(request, first, end - int(period[1]) * _SECONDS[period[2]])
        if end < start:
            raise Refusal(400, f"Invalid query: {last}: must not be before {first}")
        if end - start > LONGEST_WINDOW:
            raise Refusal(400, f"Invalid query: {first}: the window must not exceed {LONGEST_WINDOW // 86400} days")
        booked = now - self._state.behaviour.booking_delay
        # A request of this very moment belongs to a window that ends now.
        return start, min(end + (last not in request.query), booked + 0.001)


def _log(row: LoggedRequest) -> dict[str, Any]:
    return {
        "created": timestamp(row.created),
        "status": row.status,
        "model": row.model,
        "cost": {"usd": usd(row.credits), "credits": row.credits},
        "request_id": f"req-{row.id}",
        "inference_id": row.inference_id,
        "client_request_id": row.client_request_id,
    }


def _charge(row: LoggedRequest) -> dict[str, Any]:
    return {
        "created_at": timestamp(row.created),
        "direction": "CHARGE",
        "type": "MODEL_USAGE",
        "amount": {"usd": usd(row.credits), "credits": row.credits},
        "model": row.model,
        "reference_id": row.inference_id,
    }


def _moment(request: web.Request, name: str, default: float) -> float:
    text = request.query.get(name)
    if text is None:
        return default
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise Refusal(400, f"Invalid query: {name}: expected an ISO 8601 date") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _whole(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most):
        raise Refusal(400, f"Invalid query: {name}: expected a number from {least} to {most}, received {text[:40]!r}")
    return int(text)


def _choices(request: web.Request, name: str, allowed: tuple[str, ...]) -> list[str]:
    asked: list[str] = request.query.getall(name, list(allowed))
    for value in asked:
        if value not in allowed:
            raise Refusal(400, f"Invalid query: {name}: expected {' or '.join(allowed)}, received {value[:40]!r}")
    return asked


def _as_cursor(number: int) -> str:
    return base64.urlsafe_b64encode(str(number).encode()).decode()


def _cursor(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(base64.urlsafe_b64decode(text))
    except (ValueError, binascii.Error):
        raise Refusal(400, "Invalid query: cursor: it is none of this ledger's") from None
