"""What an answer means for the run: whose fault it is, whether it was paid for, and whether anything more is asked."""

import json
from typing import Any

import pytest

from pipeline.ledger import LedgerReader
from sandbox import Sandbox
from tests.run.site import Site
from tests.run.upstream import (
    GOOD,
    ONE_AT_A_TIME,
    Handler,
    Upstream,
    asked,
    failures,
    in_turn,
    page,
    saying,
    serving,
)

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
    await asked(site, upstream, "A fox", "A crow", "A hare", limits=ONE_AT_A_TIME | {"on_unknown_outcome": "hold"})
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
        (200, {"error": {"message": "User not found.", "code": 401}}),
        (200, {"error": {"message": "x", "code": 402}}),
        (200, {"base_resp": {"status_code": 1004, "status_msg": "login fail: carry the key in the header"}}),
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


async def test_a_prompt_that_an_error_repeats_stops_nothing(site: Site) -> None:
    async def repeating(request: Any) -> Any:
        prompt = (await request.json())["prompt"]
        return await saying({"message": f"too long: {prompt}", "statusCode": 400, "requestId": "r"}, status=400)(
            request
        )

    upstream = Upstream({"poster": repeating})
    await asked(site, upstream, "A poster: insufficient credits, model not found", "A crow", limits=ONE_AT_A_TIME)
    assert site.summary is not None
    assert (dict(site.summary.failed), site.summary.saved) == ({"rejected": 1}, 1)


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


UNKNOWN_SHAPES = [
    {"painting": {"href": "https://cdn.example.com/a.png?sig=SECRET"}},
    {"artwork": [{"pixels": "iVBORw0KGgo" * 3000}]},
    {"data": [], "files": {"a": [{"b": {"c": "https://cdn.example.com/a.png?sig=SECRET"}}]}},
]


@pytest.mark.parametrize("said", UNKNOWN_SHAPES)
async def test_a_picture_in_a_form_that_is_not_known_is_kept_and_not_bought_again(site: Site, said: Any) -> None:
    await asked(site, upstream := Upstream(other=saying(said)), "A fox")
    async with serving(upstream.answer) as base:
        await site.run(endpoint=base)
    assert site.summary is not None
    assert (upstream.asked.total(), dict(site.summary.failed)) == (1, {"lost": 1})
    assert "may hold a picture" in failures(site)["A fox"]
    assert "SECRET" not in failures(site)["A fox"]
    with LedgerReader(site.output / ".pipeline" / "ledger.db") as ledger:
        (attempt,) = ledger.attempts(site.records()[0].key)
        assert json.loads(attempt.answer or b"") == said


async def test_long_words_of_an_error_are_shown_and_not_the_mark_that_they_are_read_by(site: Site) -> None:
    words = "The prompt holds the name of a person. " + "Traceback: line after line. " * 3000
    await asked(site, Upstream(other=saying({"error": {"message": words}})), "A fox")
    assert "The prompt holds the name of a person" in failures(site)["A fox"]
    assert "~long" not in failures(site)["A fox"]
