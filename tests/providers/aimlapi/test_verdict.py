import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import (
    GiveUp,
    KeyRefused,
    MaybeBilled,
    PipelineError,
    RateLimited,
    Unavailable,
    UsageError,
    WrongEndpoint,
)
from pipeline.http.wire import Answer
from pipeline.providers.aimlapi.said import MESSAGE_LIMIT
from pipeline.providers.aimlapi.verdict import AnswerContext, verdict


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
        *[(html(status), MaybeBilled) for status in (404, 405, 408, 409, 410, 418, 421, 444, 460, 494, 499)],
        # A success that is none of ours.
        *[(Answer(status), MaybeBilled) for status in (202, 203, 204, 206)],
        # The item's own fault.
        *[(html(status), GiveUp) for status in (400, 413, 414, 415, 422, 451)],
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
        ({"retry-after": "999999999"}, None),
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
        (b'{"detail": "other"}', "other"),
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
    assert str(verdict(html(400))) == "400: 33 bytes of text/html"


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


# The address and the model, before the API has ever answered.

URL = "https://api.example.com/v1/images/generations"
FIRST = AnswerContext("hero", "acme/paint", f"{URL}?key=secret", "endpoint:", spoken=False)


@pytest.mark.parametrize(
    "answer",
    [
        *[html(status) for status in (200, 201, 400, 403, 404, 405, 410, 418, 422, 501)],
        Answer(404, {"content-type": "text/plain"}, b"404 page not found"),
        Answer(404, {}, b""),
        Answer(200, {"content-type": "text/plain; charset=utf-8"}, b"It works!"),
        Answer(404, {}, b'{"detail": "Not Found"}'),
        Answer(404, {}, b'{"error": "not_found"}'),
        Answer(404, {}, b'{"error": {"message": "Unknown request URL: POST /v1/v1/images", "code": "unknown_url"}}'),
        Answer(404, {}, b'{"message": "Cannot POST /v1/images/generations", "statusCode": 404}'),
        Answer(405, {}, b'{"detail": "Method Not Allowed"}'),
        Answer(501, {}, b'{"error": "not implemented"}'),
    ],
    ids=lambda answer: f"{answer.status}-{answer.body[:40]!r}",
)
def test_what_only_a_wrong_address_answers_stops_the_run_and_names_it(answer: Answer) -> None:
    error = verdict(answer, FIRST)
    assert isinstance(error, WrongEndpoint)
    assert error.exit_code == 2
    assert f"{URL} answers {answer.status}" in str(error)
    assert "is the endpoint right?" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("status", [401, 402, 429, 500, 502, 503, 504])
def test_a_page_that_any_machine_may_send_says_nothing_of_the_address(status: int) -> None:
    assert not isinstance(verdict(html(status), FIRST), WrongEndpoint)


@pytest.mark.parametrize("status", [400, 404, 422])
def test_an_apis_own_refusal_of_the_first_item_is_the_items_fault(status: int) -> None:
    error = verdict(vendors(status, "image_urls[0] can't be fetched"), FIRST)
    assert isinstance(error, GiveUp)
    assert error.cause == "rejected"


UNKNOWN_MODEL = [
    b'{"error": {"message": "The model `acme/paint` does not exist", "code": "model_not_found"}}',
    b'{"error": {"message": "x", "code": "model_not_found"}}',
    b'{"message": "Model acme/paint not found", "statusCode": 404}',
    b'{"detail": "Unknown model: acme/paint"}',
    b'{"error": "acme/paint is not a valid model ID"}',
    b'{"error": {"message": "No endpoints found for acme/paint."}}',
]


@pytest.mark.parametrize("status", [400, 404, 422])
@pytest.mark.parametrize("body", UNKNOWN_MODEL)
def test_a_model_that_the_endpoint_does_not_know_stops_the_run_and_is_named(status: int, body: bytes) -> None:
    for spoken in (False, True):
        error = verdict(
            Answer(status, {}, body), AnswerContext("hero", "acme/paint", "https://x.example", spoken=spoken)
        )
        assert isinstance(error, WrongEndpoint)
        assert "does not have the model acme/paint" in str(error)
        assert "hero" in str(error)


def test_a_model_that_has_already_painted_is_known() -> None:
    error = verdict(Answer(404, {}, UNKNOWN_MODEL[0]), AnswerContext("hero", "acme/paint", delivered=True))
    assert isinstance(error, GiveUp)


# Words before the status.


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 451])
@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "Your input was flagged by moderation: violence", "code": 403}}',
        b'{"error": {"message": "x", "type": "image_generation_user_error", "code": "moderation_blocked"}}',
        b'{"detail": [{"loc": ["body", "prompt"], "msg": "x", "type": "content_policy_violation"}]}',
        b'{"error": {"code": "content_filter", "message": "x"}}',
        b'[{"error": {"message": "blocked", "status": "PROHIBITED_CONTENT"}}]',
    ],
)
def test_refused_content_is_moderated_under_every_status(status: int, body: bytes) -> None:
    for asked in (FIRST, AnswerContext()):
        error = verdict(Answer(status, {"content-type": "application/json"}, body), asked)
        assert isinstance(error, GiveUp)
        assert error.cause == "moderated"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (
            429,
            b'{"error": {"message": "You exceeded your current quota, check your plan and billing"}}',
        ),
        (429, b'{"error": {"message": "x", "type": "insufficient_quota"}}'),
        (429, b'{"error": {"code": 429, "message": "Quota exceeded: requests per day"}}'),
        (400, b'{"error": {"message": "x", "code": "billing_hard_limit_reached"}}'),
        (400, b'[{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}]'),
        (403, b'{"message": "You have run out of credits", "statusCode": 403}'),
        (402, b'{"detail": "Insufficient credit"}'),
        (500, b'{"error": {"message": "x", "code": "insufficient_user_quota"}}'),
    ],
)
def test_an_empty_account_or_a_bad_key_ends_the_run_under_every_status(status: int, body: bytes) -> None:
    error = verdict(Answer(status, {}, body), AnswerContext("hero"))
    assert isinstance(error, KeyRefused)
    assert error.exit_code == 3
    assert "for hero" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "Rate limit reached for images per minute", "code": "rate_limit_exceeded"}}',
        b'{"error": {"message": "You exceeded your current quota: GenerateRequestsPerMinutePerProject, '
        b'per minute. Please check your plan and billing", "status": "RESOURCE_EXHAUSTED"}}',
        b'{"detail": "Rate limit reached"}',
        b'{"message": "Too Many Requests", "statusCode": 429}',
    ],
)
def test_a_limit_for_a_short_span_is_a_pause(body: bytes) -> None:
    assert isinstance(verdict(Answer(429, {}, body)), RateLimited)


def test_the_pause_inside_googles_answer_is_read() -> None:
    body = b'{"error": {"code": 429, "message": "x", "details": [{"@type": "RetryInfo", "retryDelay": "34.5s"}]}}'
    error = verdict(Answer(429, {}, body))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 34.5


@pytest.mark.parametrize("code", ["rate_limit_exceeded", "overloaded_error", "server_overloaded", "model_loading"])
def test_a_5xx_that_says_that_nothing_was_begun_may_be_tried_again(code: str) -> None:
    body = json.dumps({"error": {"message": "x", "code": code}}).encode()
    assert isinstance(verdict(Answer(503, {}, body)), Unavailable)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_another_servers_5xx_is_said_to_be_the_apis_and_not_to_come_from_between(status: int) -> None:
    error = verdict(Answer(status, {}, b'{"error": {"message": "boom", "type": "server_error"}}'))
    assert isinstance(error, MaybeBilled)
    assert f"{status} from the API" in str(error)
    assert "boom" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "p-1", "status": "starting", "output": null, "urls": {"get": "https://x.example/p-1"}}',
        b'{"request_id": "r-1", "status": "IN_QUEUE"}',
        b'{"data": [{"url": "https://cdn.example.com/a.png"}]}',
    ],
)
def test_a_202_with_a_picture_or_a_ticket_is_taken_in(body: bytes) -> None:
    assert verdict(Answer(202, {}, body)) is None
