import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.shapes import understand
from pipeline.api.wire import Answer
from pipeline.model import GeneratedImage, Generation

URL = "https://cdn.example.com/generations/1758237214798-a.png"
SIGNED = "https://tos.example.com/a.jpeg?X-Amz-Expires=604800&X-Amz-Signature=abc%2Fdef"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
ENCODED = base64.b64encode(PNG).decode()


def answer(body: Any, **headers: str) -> Answer:
    return Answer(200, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(body).encode())


def pictures(body: Any) -> tuple[GeneratedImage, ...]:
    return understand(answer(body)).images


def test_the_vendors_own_example_is_read_without_loss() -> None:
    body = {
        "data": [{"mime_type": "image/png", "url": URL, "prompt": "A very hungry racoon"}],
        "meta": {"usage": {"tokens_used": 126_000}},
    }
    assert understand(answer(body)) == Generation(
        (GeneratedImage(URL, None, "A very hungry racoon", "image/png"),), tokens_used=126_000
    )


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"url": URL}]},
        {"data": [{"url": URL, "b64_json": None}]},
        {"data": [{"image_url": URL}]},
        {"data": [URL]},
        {"data": [{"url": f" {URL}\n"}]},
        {"data": None, "images": [{"url": URL}]},
        {"images": [{"url": URL}]},
        {"images": [URL]},
        {"output": {"choices": [{"url": URL}]}},
    ],
    ids=json.dumps,
)
def test_a_url_is_found_in_every_shape(body: Any) -> None:
    assert pictures(body) == (GeneratedImage(url=URL),)


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"b64_json": ENCODED}]},
        {"data": [{"b64_json": ENCODED, "url": None}]},
        {"data": [{"b64_json": ENCODED, "url": ""}]},
        {"data": [{"base64": ENCODED}]},
        {"data": [ENCODED]},
        {"data": [{"b64_json": f"data:image/png;base64,{ENCODED}"}]},
        {"data": [{"b64_json": ENCODED.rstrip("=")}]},
        {"data": [{"b64_json": "\n".join(ENCODED[at : at + 76] for at in range(0, len(ENCODED), 76))}]},
        {"data": [{"url": f"data:image/png;base64,{ENCODED}"}]},
        {"data": [{"url": f"DATA:image/png;base64,{ENCODED}"}]},
        {"data": [f"data:image/png;base64,{ENCODED}"]},
        {"images": [{"image_base64": ENCODED}]},
        {"output": {"choices": [{"image_base64": ENCODED}]}},
        {"output": {"choices": [{"image_base64": f"data:image/png;base64,{ENCODED}"}]}},
    ],
    ids=lambda body: json.dumps(body)[:50],
)
def test_the_bytes_are_found_in_every_shape(body: Any) -> None:
    assert pictures(body) == (GeneratedImage(data=PNG),)


@pytest.mark.parametrize("start", [b"\xff\xd8\xff\xe0", b"RIFF\x00\x00\x00\x00WEBP", b"\x89PNG\r\n\x1a\n"])
def test_bare_base64_of_any_kind_of_picture_is_told_from_a_url(start: bytes) -> None:
    (picture,) = pictures({"data": [base64.b64encode(start + b"rest").decode()]})
    assert picture == GeneratedImage(data=start + b"rest")


@pytest.mark.parametrize(
    "url", ["/files/a.png", "files/a.png", "//cdn.example.com/a.png", SIGNED, "file:///etc/passwd"]
)
def test_a_url_is_handed_on_as_it_came(url: str) -> None:
    # What may be fetched is for the download to decide.
    assert pictures({"data": [{"url": url}]}) == (GeneratedImage(url=url),)
    assert pictures({"data": [url]}) == (GeneratedImage(url=url),)


def test_a_url_is_preferred_to_the_bytes_beside_it() -> None:
    assert pictures({"data": [{"url": URL, "b64_json": ENCODED}]}) == (GeneratedImage(url=URL),)


@pytest.mark.parametrize(
    "body",
    [
        {"data": None},
        {"data": []},
        {"data": [None]},
        {"data": [{}]},
        {"data": [{"url": None, "b64_json": None}]},
        {"data": [{"url": "  "}]},
        {"data": [{"url": 7}, 7, ["x"], True]},
        {"data": "none"},
        {"data": {"url": URL}},
        {"images": None, "output": None},
        {"output": {"choices": None}},
        {"output": [1]},
        {},
    ],
    ids=json.dumps,
)
def test_an_answer_without_a_picture_is_understood_all_the_same(body: Any) -> None:
    assert understand(answer({**body, "meta": {"usage": {"tokens_used": 5}}})) == Generation((), tokens_used=5)


def test_a_short_answer_keeps_its_order() -> None:
    urls = [f"{URL}?{number}" for number in range(3)]
    found = pictures({"data": [{"url": urls[0]}, None, {"url": urls[1]}, {"url": urls[2]}]})
    assert [picture.url for picture in found] == urls


@pytest.mark.parametrize("broken", ["not base64 at all!", "A", "äöü", "AAAA\ud800", "data:image/png;base64", "===="])
def test_bytes_that_can_not_be_decoded_are_a_broken_picture_and_not_a_missing_one(broken: str) -> None:
    # It was paid for: it is to be recorded as a bad picture, not asked for again as a filtered one.
    assert pictures({"data": [{"b64_json": broken}]}) == (GeneratedImage(data=b""),)


@pytest.mark.parametrize(
    ("entry", "prompt", "mime_type"),
    [
        ({"revised_prompt": "r", "prompt": "p", "mime_type": "image/png"}, "r", "image/png"),
        ({"revised_prompt": None, "prompt": "p", "content_type": "image/webp"}, "p", "image/webp"),
        ({"revised_prompt": "", "prompt": " "}, None, None),
        ({"prompt": 7, "mime_type": ["x"]}, None, None),
    ],
)
def test_the_rewrite_and_the_type_have_two_names_each(
    entry: dict[str, Any], prompt: str | None, mime_type: str | None
) -> None:
    (picture,) = pictures({"data": [{"url": URL, **entry}]})
    assert (picture.revised_prompt, picture.mime_type) == (prompt, mime_type)


# Cost.


@pytest.mark.parametrize(
    ("usage", "headers", "cost"),
    [
        ({"tokens_used": 126_000}, {}, (126_000, None)),
        ({"credits_used": 126_000}, {}, (126_000, None)),
        ({"credits_used": 126_000, "usd_spent": 0.063}, {}, (126_000, 0.063)),
        ({"tokens_used": 1, "credits_used": 2}, {"x_aimlapi_credits_used": "3"}, (1, None)),
        ({"tokens_used": None, "credits_used": 2}, {"x_aimlapi_credits_used": "3"}, (2, None)),
        ({}, {"x_aimlapi_credits_used": "3", "x_aimlapi_usd_spent": "0.5"}, (3, 0.5)),
        (None, {"x_aimlapi_credits_used": "3"}, (3, None)),
        ("many", {}, (None, None)),
        ({"tokens_used": "126000", "usd_spent": "0.063"}, {}, (126_000, 0.063)),
        ({"tokens_used": float("nan"), "usd_spent": float("inf")}, {"x_aimlapi_credits_used": "3"}, (3, None)),
        ({"tokens_used": -5, "usd_spent": -0.1}, {}, (None, None)),
        ({"tokens_used": True, "usd_spent": True}, {}, (None, None)),
        ({"tokens_used": 10**30, "usd_spent": 1e30}, {}, (None, None)),
        ({"tokens_used": 0, "usd_spent": 0}, {"x_aimlapi_credits_used": "3"}, (0, 0.0)),
        ({"total_tokens": 4_096}, {}, (None, None)),
    ],
)
def test_the_cost_is_whatever_says_it_first(
    usage: Any, headers: dict[str, str], cost: tuple[int | None, float | None]
) -> None:
    for body in ({"meta": {"usage": usage}}, {"usage": usage}, {"meta": None, "usage": usage}):
        found = understand(answer({"data": [{"url": URL}], **body}, **headers))
        assert (found.tokens_used, found.usd) == cost


# Hostile answers.


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'["x"]', b"null", b"7", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000]
)
def test_what_is_no_object_can_not_be_read(body: bytes) -> None:
    with pytest.raises(ValueError):
        understand(Answer(200, {}, body))


def test_lone_surrogates_do_not_reach_what_is_written_down() -> None:
    body = b'{"data": [{"url": "https://cdn.example.com/\\ud800.png", "prompt": "a \\udc00 fox"}]}'
    (picture,) = understand(Answer(200, {}, body)).images
    assert picture.url == "https://cdn.example.com/?.png"
    assert picture.revised_prompt == "a ? fox"


def test_escaped_characters_beyond_the_basic_plane_stay_what_they_are() -> None:
    (picture,) = understand(Answer(200, {}, b'{"data": [{"url": "x", "prompt": "\\ud83e\\udd9d"}]}')).images
    assert picture.revised_prompt == "🦝"


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))
NAMES = st.sampled_from(["data", "images", "output", "choices", "url", "b64_json", "prompt", "usage", "tokens_used"])
NESTED = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)


@given(st.dictionaries(NAMES, NESTED, max_size=4))
def test_no_object_is_too_strange_to_be_understood(body: dict[str, Any]) -> None:
    generation = understand(answer(body))
    for picture in generation.images:
        assert (picture.url is None) is not (picture.data is None)
        for text in (picture.url, picture.revised_prompt):
            (text or "").encode()
    assert generation.tokens_used is None or 0 <= generation.tokens_used < 2**63
