"""What the vendor tells about money, and what servers tell that are not the vendor."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from pipeline.errors import KeyRefused, PipelineError
from pipeline.http import sessions
from pipeline.limits.call_window import CallWindow
from pipeline.limits.policy import Policy
from pipeline.providers.aimlapi.account import Account, Logged, NoAnswer, NoLog
from pipeline.settings import Endpoint, Key
from sandbox import Sandbox
from tests.policies import QUICK
from tests.run.upstream import saying, serving

DAY = 86_400.0


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(key="right", balance=12.5) as found:
        yield found


async def asked(base: str, what: str = "balance", key: str = "right", policy: Policy = QUICK, **more: Any) -> Any:
    """What an account says, or the error it raises."""
    async with sessions.api_session(concurrency=1, timeout=5) as session:
        found = Account(session, Endpoint(base, Key(key)), policy, **more)
        try:
            if what == "balance":
                return await found.balance()
            now = time.time()
            return [row async for row in found.logged(now - DAY, now + DAY)]
        except PipelineError as error:
            return error


def enter(sandbox: Sandbox, number: int, **changes: Any) -> None:
    known: dict[str, Any] = {
        "created": time.time(),
        "status": "succeeded",
        "model": "m",
        "prompt": "p",
        "credits_": 126_000,
        "images": 1,
        "inference_id": f"inf-{number}",
        "client_request_id": f"run.key.{number}",
    }
    sandbox.request_log.enter(**known | changes)


async def test_the_balance_is_told_in_dollars(sandbox: Sandbox) -> None:
    assert await asked(sandbox.base) == 12.5


@pytest.mark.parametrize("what", ["balance", "log"])
async def test_a_wrong_key_is_refused(sandbox: Sandbox, what: str) -> None:
    assert isinstance(await asked(sandbox.base, what, key="wrong"), KeyRefused)


async def test_every_page_of_the_log_is_read(sandbox: Sandbox) -> None:
    for number in range(250):
        enter(sandbox, number)
    rows = await asked(sandbox.base, "log")
    assert len({row.client_request_id for row in rows}) == len(rows) == 250


async def test_a_row_says_what_a_request_cost_and_a_failed_one_cost_nothing(sandbox: Sandbox) -> None:
    enter(sandbox, 1)
    enter(sandbox, 2, status="failed", credits_=0, client_request_id=None)
    failed, paid = await asked(sandbox.base, "log")
    assert (paid.client_request_id, paid.inference_id, paid.credits, paid.usd) == ("run.key.1", "inf-1", 126_000, 0.063)
    assert paid.created == pytest.approx(time.time(), abs=60)
    assert (failed.client_request_id, failed.credits) == (None, 0)


async def test_a_long_span_is_read_in_windows_that_the_vendor_allows(sandbox: Sandbox) -> None:
    now = time.time()
    for number, days in enumerate((1, 100, 200)):
        enter(sandbox, number, created=now - days * DAY)
    async with sessions.api_session(concurrency=1, timeout=5) as session:
        found = Account(session, Endpoint(sandbox.base, Key("right")))
        rows = [row.inference_id async for row in found.logged(now - 300 * DAY, now)]
    assert rows == ["inf-0", "inf-1", "inf-2"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"message": "Cannot GET"}, 404),
        ({"message": "no"}, 403),
        ({"message": "no"}, 405),
        ([], 200),
        ({"data": "none", "pagination": {}}, 200),
        ({"data": []}, 200),
    ],
    ids=str,
)
async def test_a_server_that_is_not_the_vendor_has_no_log(body: Any, status: int) -> None:
    async with serving(saying({}), **{"v2/logs": saying(body, status), "v2/billing": saying(body, status)}) as base:
        assert isinstance(await asked(base, "log"), NoLog)
        assert isinstance(await asked(base), NoLog)


async def test_a_page_of_html_is_no_log() -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>", content_type="text/html")

    async with serving(saying({}), **{"v2/logs": page}) as base:
        assert isinstance(await asked(base, "log"), NoLog)


async def test_an_answer_without_an_end_is_not_read_to_it() -> None:
    policy = replace(QUICK, log_page_bytes=1000)
    async with serving(saying({}), **{"v2/logs": saying({"data": ["x" * 2000], "pagination": {}})}) as base:
        assert isinstance(await asked(base, "log", policy=policy), NoLog)


@pytest.mark.parametrize("status", [408, 429, 500, 502])
async def test_a_log_that_fails_just_now_is_no_proof(status: int) -> None:
    async with serving(saying({}), **{"v2/logs": saying({"message": "later"}, status)}) as base:
        assert isinstance(await asked(base, "log"), NoAnswer)


async def test_a_server_that_cannot_be_reached_has_not_answered_and_the_key_is_not_told() -> None:
    async with Sandbox() as gone:
        base = gone.base
    error = await asked(base, key="sk-secret-1234")
    assert isinstance(error, NoAnswer)
    assert "sk-secret" not in f"{error!r} {error.__cause__!r}"


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({}, Logged(None, None, None, None, 0, None, None)),
        (
            {"cost": {"usd": 0.5}, "created": "2026-11-23T02:30:00", "model": "m"},
            Logged(None, None, 1795401000.0, "m", 1_000_000, 0.5, True),
        ),
        (
            {"cost": {"credits": "12", "usd": "x"}, "client_request_id": ""},
            Logged(None, None, None, None, 12, None, True),
        ),
        ({"cost": {"credits": 0}, "status": "failed"}, Logged(None, None, None, None, 0, None, False)),
        ({"cost": None, "created": 7, "model": 8}, Logged(None, None, None, None, 0, None, None)),
    ],
    ids=str,
)
async def test_a_row_is_read_as_far_as_it_can_be(row: Any, found: Logged) -> None:
    page = {"data": [row], "pagination": {"has_more": False}}
    async with serving(saying({}), **{"v2/logs": saying(page)}) as base:
        rows = await asked(base, "log")
    assert set(rows) == {found}


async def row_of(row: Any) -> Logged:
    page = {"data": [row], "pagination": {"has_more": False}}
    async with serving(saying({}), **{"v2/logs": saying(page)}) as base:
        (found,) = await asked(base, "log")
    assert isinstance(found, Logged)
    return found


@pytest.mark.parametrize("status", ["failed", "FAILED", " Failed "])
@pytest.mark.parametrize("cost", [None, {}, {"credits": 0}, {"usd": 0.0, "credits": None}, {"credits": "0"}], ids=str)
async def test_a_failed_row_without_a_cost_proves_that_nothing_was_billed(status: str, cost: Any) -> None:
    found = await row_of({"status": status, "cost": cost})
    assert (found.billed, found.credits) == (False, 0)


@pytest.mark.parametrize("status", ["succeeded", "Succeeded", None])
@pytest.mark.parametrize(
    ("cost", "tokens"),
    [
        ({"credits": 126_000}, 126_000),
        ({"credits": "126000"}, 126_000),
        ({"credits": None, "usd": 0.063}, 126_000),
        ({"credits": -5, "usd": "0.063"}, 126_000),
        ({"credits": 0, "usd": 0.063}, 126_000),
        ({"credits": 0.25}, 1),
    ],
    ids=str,
)
async def test_a_row_with_a_cost_proves_that_it_was_billed(status: str | None, cost: Any, tokens: int) -> None:
    found = await row_of({"status": status, "cost": cost})
    assert (found.billed, found.credits) == (True, tokens)


@pytest.mark.parametrize(
    "row",
    [
        *({"status": "succeeded", "cost": cost} for cost in (None, {}, {"credits": 0}, {"credits": None, "usd": None})),
        *({"status": "succeeded", "cost": cost} for cost in (126_000, 0.063, "126000", "n/a", [126_000], True, False)),
        *({"status": "succeeded", "cost": {"credits": n}} for n in (-126_000, "n/a", True, [5], "nan", 1e300)),
        {"status": "succeeded", "cost": {"credits": "n/a", "usd": 0}},
        {"status": "succeeded"},
        *({"status": word, "cost": {"credits": 0}} for word in ("pending", "processing", "", "unknown", 7, None)),
        {"status": ["failed"], "cost": {"credits": 0}},
        {"status": "pending", "cost": {"credits": 126_000}},
        {"status": "failed", "cost": {"credits": 126_000}},
        {"status": "failed", "cost": {"credits": "n/a"}},
        {"status": "failed", "cost": 126_000},
        {"status": "failed", "cost": 0},
        {"cost": {"credits": 0}},
        {},
        "no row",
        None,
        [],
    ],
    ids=str,
)
async def test_any_other_row_proves_nothing(row: Any) -> None:
    assert (await row_of(row)).billed is None


@pytest.mark.parametrize("pagination", [{"has_more": True}, {"total": 7}, {"has_more": False, "total": 1}], ids=str)
async def test_a_log_that_says_there_is_more_and_gives_none_is_not_read_as_whole(pagination: Any) -> None:
    async with serving(saying({}), **{"v2/logs": saying({"data": [], "pagination": pagination})}) as base:
        assert isinstance(await asked(base, "log"), NoLog)


@pytest.mark.parametrize(
    "said", [{}, {"pagination": {}}, {"pagination": {"total": 3}}, {"pagination": None}, {"pagination": [1]}], ids=str
)
@pytest.mark.parametrize("each", [1, 2, 3])
async def test_a_log_that_does_not_say_whether_there_is_more_is_read_until_a_page_is_empty(
    said: Any, each: int
) -> None:
    async def logs(request: web.Request) -> web.Response:
        start = int(request.query["offset"])
        rows = [{"inference_id": str(number)} for number in range(start, min(start + each, 3))]
        return web.json_response({"data": rows} | said)

    async with serving(saying({}), **{"v2/logs": logs}) as base:
        assert [row.inference_id for row in await asked(base, "log")] == ["0", "1", "2"]


async def test_a_log_whose_total_says_more_than_its_has_more_is_read_on() -> None:
    async def logs(request: web.Request) -> web.Response:
        start = int(request.query["offset"])
        rows = [{"inference_id": str(start)}] if start < 3 else []
        return web.json_response({"data": rows, "pagination": {"has_more": False, "total": 3}})

    async with serving(saying({}), **{"v2/logs": logs}) as base:
        assert len(await asked(base, "log")) == 3


async def test_a_log_that_gives_the_same_page_for_ever_is_none() -> None:
    page = {"data": [{"client_request_id": "x"}], "pagination": {"has_more": True}}
    async with serving(saying({}), **{"v2/logs": saying(page)}) as base:
        assert isinstance(await asked(base, "log"), NoLog)


async def test_a_log_whose_pages_differ_for_ever_is_none() -> None:
    async def another(request: web.Request) -> web.Response:
        row = {"client_request_id": request.query["offset"]}
        return web.json_response({"data": [row], "pagination": {"has_more": True}})

    async with serving(saying({}), **{"v2/logs": another}) as base:
        assert isinstance(await asked(base, "log", policy=replace(QUICK, log_rows=20)), NoLog)


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "soon"])
async def test_a_date_that_no_clock_shows_is_no_skew(date: str) -> None:
    page = {"data": [], "pagination": {"has_more": False}}
    async with serving(saying({}), **{"v2/logs": saying(page, Date=date)}) as base:
        assert await asked(base, "log") == []


async def test_what_no_ledger_can_hold_is_taken_out_of_a_row() -> None:
    row = {"inference_id": "\ud800", "created": "9999-99-99", "cost": {"credits": 5}}
    page = {"data": [row], "pagination": {"has_more": False}}
    async with serving(saying({}), **{"v2/logs": saying(page)}) as base:
        assert (await asked(base, "log"))[0] == Logged(None, "?", None, None, 5, None, True)


async def test_the_windows_follow_the_vendors_clock(sandbox: Sandbox) -> None:
    enter(sandbox, 1)
    wrong = time.time() - 30 * DAY
    async with sessions.api_session(concurrency=1, timeout=5) as session:
        found = Account(session, Endpoint(sandbox.base, Key("right")), clock=lambda: wrong)
        await found.probe()
        assert found.server.skew == pytest.approx(30 * DAY, abs=5)
        now = found.server.now()
        assert [row.inference_id async for row in found.logged(now - 60, now + 60)] == ["inf-1"]


async def test_a_second_or_two_is_no_skew(sandbox: Sandbox) -> None:
    async with sessions.api_session(concurrency=1, timeout=5) as session:
        found = Account(session, Endpoint(sandbox.base, Key("right")))
        assert found.server.skew is None
        await found.balance()
        assert found.server.skew == 0


async def test_calls_are_no_more_in_a_minute_than_the_vendor_answers() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    calls = 0

    async def logs(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        return web.json_response({"data": [{"inference_id": str(calls)}], "pagination": {"has_more": calls < 20}})

    async with serving(saying({}), **{"v2/logs": logs}) as base:
        await asked(base, "log", calls=CallWindow(15, clock=lambda: sum(slept), sleep=sleep))
    assert slept == [60.0]
