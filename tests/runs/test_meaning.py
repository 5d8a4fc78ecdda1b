"""What an answer means for the run: whose fault it is, whether it was paid for, and whether anything more is asked."""

import base64
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from pipeline.ledger import LedgerReader
from pipeline.sandbox import Sandbox
from tests.runs.site import Site
from tests.runs.upstream import Handler, picture, png, saying, serving

GOOD = {"data": [{"url": "/p.png"}]}
PNG = png()


class Upstream:
    """Answers each prompt in its own way, and counts how often it was asked for.

    Args:
        by_prompt: The answer to prompts that hold a text; the others get a good one.
    """

    def __init__(self, by_prompt: dict[str, Handler] | None = None, other: Handler | None = None) -> None:
        self.asked: Counter[str] = Counter()
        self.gets = 0
        self._by_prompt = by_prompt or {}
        self._other = other or saying(GOOD)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        prompt = (await request.json())["prompt"]
        self.asked[prompt] += 1
        handlers = (handler for text, handler in self._by_prompt.items() if text in prompt)
        return await next(handlers, self._other)(request)

    async def picture(self, request: web.Request) -> web.StreamResponse:
        self.gets += 1
        return await picture(request)


def page(status: int, kind: str = "text/html") -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="<html>It works!</html>" if "html" in kind else "x", content_type=kind)

    return answer


def in_turn(*handlers: Handler) -> Handler:
    """Each answer once, the last one from then on."""
    left = list(handlers)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(request)

    return answer


async def asked(site: Site, upstream: Upstream, *prompts: str, **more: Any) -> None:
    async with serving(upstream.answer, **{"p.png": upstream.picture}) as base:
        await site.run(*prompts, endpoint=base, **more)


def failures(site: Site) -> dict[str, str]:
    """The reason of each failed image, by its prompt."""
    return {record.prompt: record.error or "" for record in site.records() if record.status == "failed"}


ONE_AT_A_TIME = {"concurrency": 1, "downloads": 1, "requests_per_minute": 100_000}

# The address.


@pytest.mark.parametrize(
    "answer",
    [page(404), page(404, "text/plain"), page(405), page(501), saying({"detail": "Not Found"}, status=404)],
    ids=["html", "text", "405", "501", "json"],
)
async def test_a_wrong_address_stops_the_run_and_is_held_against_no_item(site: Site, answer: Handler) -> None:
    upstream = Upstream(other=answer)
    await asked(site, upstream, *(f"Fox {n}" for n in range(12)), limits=ONE_AT_A_TIME)
    assert site.summary is not None
    assert (site.summary.exit_code, dict(site.summary.failed), site.summary.pending) == (2, {}, 12)
    assert "is the endpoint right?" in (site.summary.reason or "")
    assert upstream.asked.total() == 1
    async with Sandbox() as right:
        assert (await site.run(endpoint=right.base)).saved == 12


async def test_a_page_with_status_200_stops_the_run_and_may_have_been_billed(site: Site) -> None:
    upstream = Upstream(other=page(200))
    await asked(site, upstream, "A fox", "A crow", limits=ONE_AT_A_TIME)
    assert site.summary is not None
    assert (site.summary.exit_code, upstream.asked.total()) == (2, 1)
    assert "is the endpoint right?" in (site.summary.reason or "")
    assert len(site.summary.maybe_billed) == 1


async def test_a_page_after_the_api_has_answered_is_no_wrong_address(site: Site) -> None:
    upstream = Upstream({"crow": page(404)})
    await asked(site, upstream, "A fox", "A crow", "A hare", limits=ONE_AT_A_TIME | {"on_maybe": "hold"})
    assert site.summary is not None
    assert (site.summary.exit_code, site.summary.saved) == (1, 2)


async def test_a_model_that_is_not_known_there_stops_the_run_and_is_named(site: Site) -> None:
    said = {"error": {"message": "The model `acme/paint` does not exist", "code": "model_not_found"}}
    upstream = Upstream(other=saying(said, status=404))
    await asked(site, upstream, "A fox", "A crow", model="acme/paint", aspect_ratios=[], limits=ONE_AT_A_TIME)
    assert site.summary is not None
    assert (site.summary.exit_code, dict(site.summary.failed), upstream.asked.total()) == (2, {}, 1)
    assert "acme/paint" in (site.summary.reason or "")


# Content, the account, the pace.


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (403, {"error": {"code": 403, "message": "Your input was flagged by moderation: violence"}}),
        (451, {"message": "This request violates our usage policies", "statusCode": 451, "requestId": "r"}),
        (422, {"detail": [{"loc": ["body", "prompt"], "type": "content_policy_violation", "msg": "x"}]}),
        (200, {"error": {"message": "Rejected by our content policy", "code": "content_policy_violation"}}),
    ],
)
async def test_one_refused_prompt_is_moderated_and_the_others_are_made(site: Site, status: int, said: Any) -> None:
    upstream = Upstream({"war": saying(said, status=status)})
    await asked(site, upstream, "A fox", "A war", "A crow", limits=ONE_AT_A_TIME)
    assert site.summary is not None
    assert (dict(site.summary.failed), site.summary.saved) == ({"moderated": 1}, 2)
    assert upstream.asked["A war"] == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (403, {"error": {"message": "Key limit exceeded"}}),
        (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}),
        (400, {"error": {"message": "x", "code": "billing_hard_limit_reached"}}),
        (400, {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}),
        (200, {"error": {"message": "x", "code": "insufficient_quota"}}),
    ],
)
async def test_an_account_that_can_not_pay_ends_the_run_at_once_and_names_the_item(
    site: Site, status: int, said: Any
) -> None:
    upstream = Upstream(other=saying(said, status=status))
    await asked(site, upstream, {"id": "hero", "prompt": "A fox"}, "A crow", limits=ONE_AT_A_TIME)  # type: ignore[arg-type]
    assert site.summary is not None
    assert (site.summary.exit_code, upstream.asked.total()) == (3, 1)
    assert "hero" in (site.summary.reason or "")


@pytest.mark.usefixtures("time")
@pytest.mark.parametrize(
    ("said", "headers"),
    [
        ({"error": {"message": "Rate limit reached for images per minute", "code": "rate_limit_exceeded"}}, {}),
        ({"error": {"code": 429, "message": "x"}}, {"retry-after-ms": "20"}),
        ({"error": {"code": 503, "message": "overloaded, try again later"}}, {}),
    ],
)
async def test_an_error_for_now_inside_a_200_is_waited_out_and_was_not_billed(
    site: Site, said: Any, headers: dict[str, str]
) -> None:
    upstream = Upstream(other=in_turn(saying(said, 200, **headers), saying(GOOD)))
    await asked(site, upstream, "A fox")
    assert site.summary is not None
    assert (site.summary.exit_code, upstream.asked.total()) == (0, 2)


# Answers without a picture.


async def test_an_error_inside_a_200_is_shown_asked_for_once_and_billed_to_nobody(site: Site) -> None:
    upstream = Upstream(other=saying({"error": {"message": "The renderer broke its brush", "type": "odd"}}))
    await asked(site, upstream, "A fox")
    assert site.summary is not None
    assert (dict(site.summary.failed), upstream.asked.total()) == ({"filtered": 1}, 1)
    assert "The renderer broke its brush" in failures(site)["A fox"]
    assert (site.summary.books.filtered, site.summary.books.billed) == (0, 0)


async def test_an_error_that_names_its_cost_is_paid_for(site: Site) -> None:
    said = {"error": {"message": "No picture came out"}, "meta": {"usage": {"credits_used": 500}}}
    await asked(site, upstream := Upstream(other=saying(said)), "A fox")
    assert site.summary is not None
    assert (upstream.asked.total(), site.summary.books.filtered, site.billed()) == (1, 500, 500)


async def test_words_instead_of_a_picture_are_shown_and_not_asked_for_again(site: Site) -> None:
    said = {"data": [], "message": "The prompt holds the name of a person"}
    await asked(site, upstream := Upstream(other=saying(said)), "A fox")
    assert upstream.asked.total() == 1
    assert "The prompt holds the name of a person" in failures(site)["A fox"]


@pytest.mark.parametrize("said", [{"data": []}, {"id": "gen-7", "data": [], "created": 1}])
async def test_an_empty_answer_without_words_is_asked_for_once_more(site: Site, said: Any) -> None:
    await asked(site, upstream := Upstream(other=saying(said)), "A fox")
    assert site.summary is not None
    assert (upstream.asked.total(), dict(site.summary.failed)) == (2, {"filtered": 1})


# Asynchronous answers.

TICKETS = [
    (200, {"id": "t-1", "status": "queued"}),
    (201, {"id": "t-1", "status": "starting", "output": None, "urls": {"get": "https://x.example/t-1?sig=SECRET"}}),
    (202, {"request_id": "t-1", "status": "IN_QUEUE", "status_url": "https://x.example/t-1?sig=SECRET"}),
    (200, {"output": {"task_id": "t-1", "task_status": "PENDING"}, "request_id": "r"}),
    (200, {"code": 200, "data": [{"task_id": "t-1", "status": "submitted"}]}),
    (200, {"id": "t-1", "polling_url": "https://x.example/t-1?sig=SECRET"}),
    (200, {"name": "t-1", "done": False}),
]


@pytest.mark.parametrize(("status", "said"), TICKETS)
async def test_an_asynchronous_answer_is_accepted_and_never_posted_again(site: Site, status: int, said: Any) -> None:
    upstream = Upstream(other=saying(said, status=status))
    async with serving(upstream.answer) as base:
        await site.run("A fox", endpoint=base)
        await site.run()
    assert upstream.asked.total() == 1
    assert site.summary is not None
    assert site.summary.exit_code == 1
    (record,) = site.records()
    assert record.status == "failed"
    assert "t-1" in (record.error or "")
    assert "SECRET" not in (record.error or "")
    with LedgerReader(site.output / ".pipeline" / "ledger.db") as ledger:
        assert ledger.books(sandbox=False).unresolved or ledger.books(sandbox=False).unknown_cost


async def test_an_asynchronous_api_stops_the_run_after_a_handful(site: Site) -> None:
    upstream = Upstream(other=saying({"id": "t-1", "status": "queued"}))
    await asked(site, upstream, *(f"Fox {n}" for n in range(25)), limits=ONE_AT_A_TIME)
    assert site.summary is not None
    assert (site.summary.exit_code, upstream.asked.total()) == (8, 8)
    assert "asynchronous" in (site.summary.reason or "")


async def test_a_202_with_a_picture_is_paid_for_and_saved(site: Site) -> None:
    await asked(site, Upstream(other=saying(GOOD, status=202)), "A fox")
    assert site.summary is not None
    assert site.summary.exit_code == 0


# Pictures inside answers.


def _standard(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _in_a_data_uri(data: bytes) -> str:
    return "data:image/png;base64," + _standard(data).replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")


@pytest.mark.parametrize("encode", [_standard, _url_safe, _in_a_data_uri])
async def test_base64_of_every_kind_is_saved_as_it_came(site: Site, encode: Callable[[bytes], str]) -> None:
    await asked(site, Upstream(other=saying({"data": [{"b64_json": encode(PNG)}]})), "A fox")
    assert list(site.pictures().values()) == [PNG]


async def test_bytes_in_hand_come_before_a_url_that_is_dead(site: Site) -> None:
    said = {"data": [{"url": "/gone.png", "b64_json": _standard(PNG)}]}
    await asked(site, upstream := Upstream(other=saying(said)), "A fox")
    assert list(site.pictures().values()) == [PNG]
    assert upstream.gets == 0


@pytest.mark.parametrize("flag", [{"has_nsfw_concepts": [True]}, {"content_violation": True}])
async def test_a_picture_that_the_api_calls_unusable_is_moderated_and_kept_aside(site: Site, flag: Any) -> None:
    said = {"data": [{"b64_json": _standard(PNG)}], **flag}
    await asked(site, Upstream(other=saying(said)), "A fox")
    assert site.summary is not None
    assert dict(site.summary.failed) == {"moderated": 1}
    assert site.pictures() == {}
    (kept,) = (site.output / ".pipeline" / "quarantine").iterdir()
    assert kept.read_bytes() == PNG


async def test_a_large_picture_in_base64_is_saved_as_it_came_however_json_escapes_it(site: Site) -> None:
    noisy = _noisy_png()
    text = json.dumps({"data": [{"b64_json": _standard(noisy)}]}).replace("/", "\\/")

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=text, content_type="application/json")

    await asked(site, Upstream(other=answer), "A fox")
    assert list(site.pictures().values()) == [noisy]


def _noisy_png() -> bytes:
    """A picture over the size from which on strings are cut out of an answer."""
    import io
    import random

    from PIL import Image

    out = io.BytesIO()
    Image.frombytes("RGB", (640, 360), random.Random(1).randbytes(640 * 360 * 3)).save(out, "PNG")
    return out.getvalue()


# How the program looks to servers.


async def test_servers_see_the_programs_own_name_unless_the_job_says_otherwise(site: Site) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers["User-Agent"])
        return web.json_response(GOOD)

    async def cdn(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers["User-Agent"])
        return await picture(request)

    async with serving(answer, **{"p.png": cdn}) as base:
        await site.run("A fox", endpoint=base)
        await site.run("A crow", endpoint=base, user_agent="acme-nightly/7 (+https://acme.example)")
    assert [name.partition("/")[0] for name in seen[:2]] == ["image-pipeline"] * 2
    assert seen[2:] == ["acme-nightly/7 (+https://acme.example)"] * 2


@pytest.mark.parametrize("headers", [{"X-Trace": "x" * 60_000}, {f"X-{n}": "x" for n in range(400)}])
async def test_large_heads_of_api_and_cdn_are_read(site: Site, headers: dict[str, str]) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(GOOD, headers=headers)

    async def cdn(request: web.Request) -> web.StreamResponse:
        return web.Response(body=PNG, content_type="image/png", headers=headers)

    async with serving(answer, **{"p.png": cdn}) as base:
        assert (await site.run("A fox", endpoint=base)).exit_code == 0


async def test_a_head_that_is_too_large_is_named_and_stops_the_run_after_a_handful(site: Site) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(GOOD, headers={"X-Trace": "x" * 70_000})

    said: list[str] = []
    async with serving(answer) as base:
        limits = ONE_AT_A_TIME | {"on_maybe": "hold"}
        summary = await site.run(*(f"Fox {n}" for n in range(20)), endpoint=base, limits=limits, note=said.append)
    assert summary.exit_code == 8
    assert any("longer than 64 KiB" in (record.error or "") for record in site.records())
