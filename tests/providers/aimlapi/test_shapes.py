import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.generated import GeneratedImage, Generation
from pipeline.http.wire import Answer
from pipeline.providers.aimlapi.encoded import EncodedPicture
from pipeline.providers.aimlapi.shapes import understand

URL = "https://cdn.example.com/generations/1758237214798-a.png"
SIGNED = "https://tos.example.com/a.jpeg?X-Amz-Expires=604800&X-Amz-Signature=abc%2Fdef"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
ENCODED = base64.b64encode(PNG).decode()
URL_SAFE = base64.urlsafe_b64encode(PNG).decode()


def answer(body: Any, **headers: str) -> Answer:
    return Answer(200, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(body).encode())


def pictures(body: Any) -> tuple[GeneratedImage, ...]:
    return understand(answer(body)).images


def decoded(body: Any) -> list[bytes]:
    """The bytes of an answer's pictures."""
    return [b"".join(pieces_of(picture)) for picture in pictures(body)]


def pieces_of(picture: GeneratedImage) -> Iterator[bytes]:
    assert isinstance(picture.data, EncodedPicture)
    return picture.data.pieces()


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
        {"data": {"url": URL}},
        {"id": "p-1", "status": "succeeded", "output": URL},
        {"id": "p-1", "status": "succeeded", "output": [URL]},
        {"output": {"choices": [{"message": {"content": [{"image": URL}]}}]}},
        {"output": {"results": [{"url": URL}]}},
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
        {"data": [{"b64_json": URL_SAFE}]},
        {"data": [{"b64_json": URL_SAFE.rstrip("=")}]},
        {"data": [URL_SAFE]},
        {"data": [{"url": f"data:image/png;base64,{quote(ENCODED, safe='')}"}]},
        {"data": [{"url": f"data:image/png;charset=utf-8;base64,{URL_SAFE}"}]},
        {"data": [{"url": f"data:image/png,{quote(PNG)}"}]},
        {"image": ENCODED},
        {"images": [ENCODED], "parameters": {}, "info": ""},
        {"output": f"data:image/png;base64,{ENCODED}"},
        {"predictions": [{"bytesBase64Encoded": ENCODED, "mimeType": "image/png"}]},
        {"candidates": [{"content": {"parts": [{"text": "Here:"}, {"inlineData": {"data": URL_SAFE}}]}}]},
        {"choices": [{"message": {"images": [{"image_url": {"url": f"data:image/png;base64,{ENCODED}"}}]}}]},
        {"artifacts": [{"base64": ENCODED, "finishReason": "SUCCESS"}]},
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
    assert decoded(body) == [PNG]
    assert pictures(body)[0].url is None


@pytest.mark.parametrize("start", [b"\xff\xd8\xff\xe0", b"RIFF\x00\x00\x00\x00WEBP", b"\x89PNG\r\n\x1a\n"])
def test_bare_base64_of_any_kind_of_picture_is_told_from_a_url(start: bytes) -> None:
    assert decoded({"data": [base64.b64encode(start + b"rest").decode()]}) == [start + b"rest"]


@pytest.mark.parametrize(
    "url", ["/files/a.png", "files/a.png", "//cdn.example.com/a.png", SIGNED, "file:///etc/passwd"]
)
def test_a_url_is_handed_on_as_it_came(url: str) -> None:
    # What may be fetched is for the download to decide.
    assert pictures({"data": [{"url": url}]}) == (GeneratedImage(url=url),)
    assert pictures({"data": [url]}) == (GeneratedImage(url=url),)


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"url": URL, "b64_json": ENCODED}]},
        {"data": [{"b64_json": ENCODED}], "images": [{"url": URL}]},
        {"data": [{"url": URL}], "images": [{"url": URL, "b64_json": ENCODED}]},
    ],
    ids=json.dumps,
)
def test_all_ways_to_a_picture_are_kept(body: Any) -> None:
    (picture,) = pictures(body)
    assert (picture.url, decoded(body)) == (URL, [PNG])


def test_further_urls_of_a_picture_are_kept() -> None:
    (picture,) = pictures({"data": [{"url": URL, "download_url": SIGNED}], "images": [{"url": f"{URL}?2"}]})
    assert {picture.url, *picture.more_urls} == {URL, SIGNED, f"{URL}?2"}


@pytest.mark.parametrize(
    ("body", "flag"),
    [
        ({"data": [{"url": URL}], "has_nsfw_concepts": [True]}, "has_nsfw_concepts"),
        ({"images": [{"url": URL}], "has_nsfw_concepts": True}, "has_nsfw_concepts"),
        ({"data": [{"url": URL, "content_violation": True}]}, "content_violation"),
        ({"image": ENCODED, "content_violation": True, "request_id": "r"}, "content_violation"),
        ({"artifacts": [{"base64": ENCODED, "finishReason": "CONTENT_FILTERED"}]}, "finishReason CONTENT_FILTERED"),
        ({"data": [{"url": URL, "nsfw": "true"}]}, "nsfw"),
        ({"data": [{"url": URL}], "has_nsfw_concepts": [False]}, None),
        ({"data": [{"url": URL, "content_violation": False, "nsfw": "false"}]}, None),
        ({"artifacts": [{"base64": ENCODED, "finishReason": "SUCCESS"}]}, None),
    ],
)
def test_what_an_answer_says_against_its_picture_is_kept(body: Any, flag: str | None) -> None:
    (picture,) = pictures(body)
    assert picture.flagged == flag


def test_each_of_several_pictures_has_its_own_flag() -> None:
    found = pictures({"images": [{"url": URL}, {"url": SIGNED}], "has_nsfw_concepts": [False, True]})
    assert [picture.flagged for picture in found] == [None, "has_nsfw_concepts"]


@pytest.mark.parametrize(
    "body",
    [
        {"data": None},
        {"data": []},
        {"data": [None]},
        {"data": [{}]},
        {"data": [{"url": None, "b64_json": None}]},
        {"data": [{"url": "  "}]},
        {"data": [{"url": 7}, 7, [8], True]},
        {"data": "none"},
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


@pytest.mark.parametrize("broken", ["not base64 at all!", "A", "äöü", "AAAA\ud800", "data:image/png;base64", "AA==AA"])
def test_bytes_that_can_not_be_decoded_are_a_broken_picture_and_say_why(broken: str) -> None:
    # It was paid for: it is to be recorded as a bad picture, not asked for again as a filtered one.
    with pytest.raises(ValueError, match=r"base64|data URI"):
        decoded({"data": [{"b64_json": broken}]})


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


@pytest.mark.parametrize("entry", [{"url": URL}, {"image": {"url": URL}}, URL])
def test_a_bare_list_holds_pictures_like_any_other(entry: Any) -> None:
    (image,) = understand(answer([entry])).images
    assert image.url == URL


def test_a_picture_of_several_urls_in_one_list_is_one_picture() -> None:
    (image,) = understand(answer({"data": [{"urls": [URL, URL + "?2"]}]})).images
    assert (image.url, image.more_urls) == (URL, (URL + "?2",))


# Hostile answers.


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"null", b"7", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000]
)
def test_what_is_neither_an_object_nor_a_list_can_not_be_read(body: bytes) -> None:
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
        assert picture.url is not None or picture.data is not None
        for text in (picture.url, picture.revised_prompt):
            (text or "").encode()
    assert generation.tokens_used is None or 0 <= generation.tokens_used < 2**63
