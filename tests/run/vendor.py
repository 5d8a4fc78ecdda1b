"""A vendor whose log is not what the documents say: late, with gaps, in other shapes, by another clock."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from tests.run.site import PRICE
from tests.run.upstream import picture, serving

Row = dict[str, Any]
Log = Callable[[list[Row]], list[Row]]


def moment(seconds: float) -> str:
    """A time of the log."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moved(created: str, seconds: float) -> str:
    """A time of the log, so much later."""
    return (datetime.fromisoformat(created) + timedelta(seconds=seconds)).isoformat()


@dataclass
class Vendor:
    """Bills every request, or all but some; what its log makes of that is `log`.

    Attributes:
        log: Gets the rows as a vendor should have them, oldest first, and gives those that it shows.
        cut: Requests, by number from 1 on, whose connection is cut instead of answered.
        free: Requests that are not billed, and leave no row.
        ahead: Seconds by which this server's clock is ahead of ours.
        posts: Labels of the requests that have come.
        rows: One for each billed request.
        calls: Of the log.
    """

    log: Log = lambda rows: rows
    cut: frozenset[int] = frozenset()
    free: frozenset[int] = frozenset()
    ahead: float = 0.0
    paginated: bool = True
    posts: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    calls: int = 0
    base: str = ""
    _ids: Iterator[int] = field(default_factory=itertools.count)

    @property
    def billed(self) -> int:
        """Tokens, in all."""
        return sum(row["cost"]["credits"] for row in self.rows)

    def now(self) -> float:
        """The time by this server's clock."""
        return time.time() + self.ahead

    def charge(self, label: str | None, **changes: Any) -> Row:
        """Write a charge down."""
        row = {
            "created": moment(self.now()),
            "status": "succeeded",
            "model": "google/imagen-4.0-ultra-generate-001",
            "cost": {"usd": 0.063, "credits": PRICE},
            "inference_id": f"inf-{next(self._ids)}",
            "client_request_id": label,
        } | changes
        self.rows.append(row)
        return row

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """A generation request."""
        label = request.headers["X-Client-Request-Id"]
        self.posts.append(label)
        number = len(self.posts)
        headers = self._date()
        if number not in self.free:
            headers["X-Inference-Id"] = self.charge(label)["inference_id"]
        if number in self.cut:
            assert request.transport is not None
            request.transport.abort()
        body = {"data": [{"url": "/picture"}], "meta": {"usage": {"credits_used": PRICE, "usd_spent": 0.063}}}
        return web.json_response(body, headers=headers)

    async def logs(self, request: web.Request) -> web.StreamResponse:
        """The log, by time and offset, newest first."""
        self.calls += 1
        start, end = (datetime.fromisoformat(request.query[name]).timestamp() for name in ("start", "end"))
        offset, limit = int(request.query["offset"]), int(request.query["limit"])
        shown = [row for row in self.log([dict(row) for row in self.rows]) if _within(row, start, end)][::-1]
        page: dict[str, Any] = {"data": shown[offset : offset + limit]}
        if self.paginated:
            page["pagination"] = {"has_more": offset + limit < len(shown), "total": len(shown)}
        return web.json_response(page, headers=self._date())

    def _date(self) -> dict[str, str]:
        return {"Date": format_datetime(datetime.fromtimestamp(self.now(), UTC), usegmt=True)}


def _within(row: Row, start: float, end: float) -> bool:
    created = row.get("created")
    return created is None or start <= datetime.fromisoformat(created).timestamp() < end


@asynccontextmanager
async def selling(vendor: Vendor) -> Any:
    """Serve a vendor on a socket of its own."""
    async with serving(vendor.answer, picture=picture, **{"v2/logs": vendor.logs}) as vendor.base:
        yield vendor
