import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.said import MESSAGE_LIMIT
from pipeline.api.verdict import verdict
from pipeline.api.wire import Answer, amount, cost, parse_json, whole_number
from pipeline.errors import (
    GiveUp,
    KeyRefused,
    MaybeBilled,
    PipelineError,
    RateLimited,
    Unavailable,
    UsageError,
)


def vendors(status: int, message: str = "something is wrong", **headers: str) -> Answer:
    """An error in the vendor's own form."""
    body = {"message": message, "path": "/v1", "requestId": "r-1", "statusCode": str(status), "timestamp": "now"}
    return Answer(status, {"content-type": "application/json", **headers}, json.dumps(body).encode())


def html(status: int, **headers: str) -> Answer:
    """An error that some machine on the way made."""
    return Answer(status, {"content-type": "text/html; charset=utf-8", **headers}, b"<html><h1>Bad Gateway</h1></html>")


@pytest.mark.parametrize("status", [200, 201])
def test_a_whole_200_is_paid_whatever_it_holds(status: int) -> None:
    for body in (b"{}", b"", b"\xff\xfe", b"[" * 100_000, b"<html>"):
        assert verdict(Answer(status, {}, body)) is None


@pytest.mark.parametrize("status", [200, 201])
def test_a_200_that_was_cut_off_is_paid_for(status: int) -> None:
    assert verdict(Answer(status, {}, b'{"data"', whole=False)) is None


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        # What is documented as not billed.
        *[(vendors(status), Unavailable) for status in (500, 502, 503, 504)],
        *[(html(status, **{"x-inference-id": "i-1"}), Unavailable) for status in (500, 502, 503, 504)],
        (Answer(500, {}, b'{"message": "x", "statusCode": 500}'), Unavailable),
        # What some machine on the way says.
        *[(html(status), MaybeBilled) for status in (500, 501, 502, 503, 504, 520, 522, 524, 527, 599)],
        *[(vendors(status), MaybeBilled) for status in (501, 520, 524, 408)],
        (Answer(500, {}, b'{"message": "x"}'), MaybeBilled),
        (Answer(500, {}, b'{"requestId": "x"}'), MaybeBilled),
        (Answer(502, {}, b'["message", "requestId"]'), MaybeBilled),
        (Answer(503), MaybeBilled),
        *[(html(status), MaybeBilled) for status in (408, 409, 418, 421, 444, 460, 494, 499)],
        # A success that is none of ours.
        *[(Answer(status), MaybeBilled) for status in (202, 203, 204, 206)],
        # The item's own fault.
        *[(html(status), GiveUp) for status in (400, 404, 405, 413, 414, 415, 422, 451)],
        *[(vendors(status), GiveUp) for status in (400, 404, 405, 409, 413, 414, 415, 418, 422, 451)],
        # The run's.
        *[(vendors(status), KeyRefused) for status in (401, 402, 403)],
        *[(html(status), KeyRefused) for status in (401, 402, 403)],
        # Everybody waits.
        *[(vendors(status), RateLimited) for status in (425, 429)],
        *[(html(status), RateLimited) for status in (425, 429)],
        # Elsewhere.
        *[(html(status), UsageError) for status in (300, 301, 302, 303, 304, 307, 308)],
    ],
    ids=lambda value: f"{value.status}-{len(value.body)}" if isinstance(value, Answer) else value.__name__,
)
def test_what_is_known_decides(answer: Answer, kind: type[PipelineError]) -> None:
    assert type(verdict(answer)) is kind


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refusal_that_was_cut_off_is_not_taken_at_its_word(status: int) -> None:
    assert isinstance(verdict(Answer(status, {}, b'{"mess', whole=False)), MaybeBilled)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_the_run_even_when_the_rest_was_cut_off(status: int) -> None:
    error = verdict(Answer(status, {}, b"{", whole=False))
    assert isinstance(error, KeyRefused)
    assert error.exit_code == 3


def test_a_refused_key_is_told_with_its_cure() -> None:
    assert "AIML_API_KEY" in str(verdict(vendors(401, "Invalid API key")))
    assert "Invalid API key" in str(verdict(vendors(401, "Invalid API key")))
    assert "top up" in str(verdict(vendors(403, "Out of credits")))
    assert "top up" in str(verdict(vendors(402)))


# Moderation.


@pytest.mark.parametrize(
    "message",
    [
        "The prompt was rejected by the content moderation: it may violate our usage policies",
        "Your request was rejected as a result of our safety system.",
        "Blocked by our safety filters",
        "This prompt contains sensitive words that violate Google's Responsible AI practices",
        "Request violates the content policy",
        "content_policy_violation",
        "MODERATION_BLOCKED",
        "Prohibited content detected",
        "NSFW content",
    ],
)
def test_a_refusal_for_content_is_told_apart(message: str) -> None:
    error = verdict(vendors(400, message))
    assert isinstance(error, GiveUp)
    assert error.cause == "moderated"


@pytest.mark.parametrize(
    "message",
    [
        "safety_setting: expected block_low_and_above, received 'off'",
        "Invalid safety setting",
        "model names are case-sensitive",
        "aspect_ratio: expected 1:1, received 2:1",
        "additional properties are prohibited",
        "num_images must be at most 4",
    ],
)
def test_a_mistake_in_the_request_is_no_moderation(message: str) -> None:
    error = verdict(vendors(400, message))
    assert isinstance(error, GiveUp)
    assert error.cause == "rejected"


# Waiting.


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "999999999"}, 86_400.0),
        ({"retry-after": "Mon, 23 Nov 2026 08:01:30 GMT", "date": "Mon, 23 Nov 2026 08:01:00 GMT"}, 30.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_what_the_server_asks_to_wait_is_handed_on(headers: dict[str, str], seconds: float | None) -> None:
    for status in (429, 503):
        error = verdict(vendors(status, **headers))
        assert isinstance(error, RateLimited | Unavailable)
        assert error.retry_after == seconds


# Messages.


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"message": "plain"}', "plain"),
        (b'{"error": {"message": "wrapped"}}', "wrapped"),
        (b'{"error": "bare"}', "bare"),
        (b'{"detail": "other"}', '{"detail": "other"}'),
        (b'{"message": ["one", "two"]}', '["one", "two"]'),
        (b'{"message": null}', '{"message": null}'),
        (b'"text"', "text"),
        (b"null", "null"),
        (b'{"message": "two\\n\\n  lines"}', "two lines"),
        (b"", "0 bytes of no content type"),
        (b"<html>", "6 bytes of no content type"),
    ],
)
def test_a_person_reads_what_the_server_said(body: bytes, said: str) -> None:
    assert str(verdict(Answer(400, {}, body))) == f"400: {said}"


def test_a_page_is_told_by_its_kind_and_not_in_full() -> None:
    assert str(verdict(html(404))) == "404: 33 bytes of text/html"


@given(st.integers(400, 599), st.text(), st.text(st.characters(min_codepoint=1, max_codepoint=255)))
def test_a_message_is_short_and_holds_nothing_that_a_terminal_obeys(status: int, message: str, header: str) -> None:
    headers = {"location": header, "content-type": header, "x-inference-id": header, "retry-after": header}
    for body in (json.dumps({"message": message, "requestId": "r"}).encode(), message.encode("utf-8", "replace")):
        error = verdict(Answer(status, headers, body))
        assert error is not None
        assert len(str(error)) < MESSAGE_LIMIT + 300
        assert "\n" not in str(error)
        assert not any(ord(sign) < 32 or 0x7F <= ord(sign) < 0xA0 for sign in str(error))
        assert not any(sign in str(error) for sign in "\u202e\u2028\u2029\u2066")


@pytest.mark.parametrize("depth", [100, 900, 940, 960, 980, 990, 1_000, 100_000])
def test_json_of_any_depth_is_a_message_like_any_other(depth: int) -> None:
    body = b'{"message": ' + b"[" * depth + b"]" * depth + b"}"
    assert isinstance(verdict(Answer(400, {}, body)), GiveUp)


def test_a_move_is_told_without_what_may_be_secret() -> None:
    location = "https://user:secret@example.com/v2/images?signature=secret#secret"
    error = verdict(Answer(307, {"location": location}))
    assert isinstance(error, UsageError)
    assert "https://example.com/v2/images" in str(error)
    assert "secret" not in str(error)
    assert "AIML_API_BASE" in str(error)
    assert "an unnamed place" in str(verdict(Answer(302)))


# Cost.


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, (None, None)),
        ({"x-aimlapi-credits-used": "126000", "x-aimlapi-usd-spent": "0.063"}, (126_000, 0.063)),
        ({"x-aimlapi-credits-used": "0", "x-aimlapi-usd-spent": "0"}, (0, 0.0)),
        ({"x-aimlapi-credits-used": "-1", "x-aimlapi-usd-spent": "NaN"}, (None, None)),
        ({"x-aimlapi-credits-used": "many", "x-aimlapi-usd-spent": "inf"}, (None, None)),
        ({"x-aimlapi-credits-used": "9" * 5_000, "x-aimlapi-usd-spent": "1e999"}, (None, None)),
        ({"x-aimlapi-credits-used": str(2**63), "x-aimlapi-usd-spent": "1e300"}, (None, None)),
    ],
)
def test_the_headers_say_what_an_answer_cost(headers: dict[str, str], found: tuple[int | None, float | None]) -> None:
    assert cost(Answer(200, headers)) == found


@pytest.mark.parametrize("value", [None, True, False, "", "x", [], {}, -1, -0.5, float("nan"), float("inf"), 10**400])
def test_what_is_no_sum_is_none(value: Any) -> None:
    assert amount(value) is None
    assert whole_number(value) is None


@given(st.one_of(st.integers(), st.floats(), st.text(), st.booleans(), st.none()))
def test_a_sum_always_fits_into_the_ledger(value: Any) -> None:
    number = whole_number(value)
    assert number is None or 0 <= number < 2**63


# The rest.


def test_the_vendors_id_and_the_sandboxes_mark_are_read_from_the_headers() -> None:
    answer = Answer(200, {"x-inference-id": "inf-\x1b1", "x-pipeline-sandbox": "1"})
    assert answer.inference_id == "inf-\\x1b1"
    assert answer.sandbox
    assert Answer(200).inference_id is None
    assert not Answer(200).sandbox


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"1" * 5_000, b'{"a": 1}x'])
def test_what_is_no_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(body)


def test_json_may_begin_with_a_byte_order_mark() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": NaN}').keys() == {"a"}
