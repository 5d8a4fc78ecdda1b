from datetime import UTC, datetime

import pytest

from pipeline.http.signed_urls import expires_at, without_signature

CDN = "https://cdn.example.com/a/b.png"
MOMENT = datetime(2026, 11, 23, 2, 30, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Signature=5a&X-Amz-Date=20261123T023000Z",
        "Expires=1795401000&OSSAccessKeyId=x&Signature=y",
        "X-Goog-Credential=me",
        "x-tos-signature=1",
        "w=10&sig=abc",
        "Policy=p&Key-Pair-Id=k",
        "token=secret",
        "q-sign-algorithm=sha1&q-signature=4f",
        "hdnts=exp=1~hmac=2",
        "X%2DAmz%2DSignature=5a",
        "jwt=a.b.c",
        "anything=5a6d626f78c0ffee5a6d626f78c0ffee",
        "#sig=1",
    ],
)
def test_a_signed_url_loses_its_query(query: str) -> None:
    assert without_signature(f"{CDN}?{query}") == CDN


@pytest.mark.parametrize("query", ["", "?w=100&seed=7", "?style=key", "?monkey=1", "?design=flat"])
def test_any_other_url_stays_as_it_is(query: str) -> None:
    assert without_signature(CDN + query) == CDN + query


@pytest.mark.parametrize(
    ("query", "moment"),
    [
        ("X-Amz-Date=20261123T023000Z&X-Amz-Expires=604800", MOMENT + 604_800),
        ("x-goog-date=20261123T023000Z&x-goog-expires=60", MOMENT + 60),
        ("X-Tos-Date=20261123T023000Z&X-Tos-Expires=86400&X-Tos-Signature=s", MOMENT + 86_400),
        (f"Expires={MOMENT:.0f}&Signature=x", MOMENT),
        ("X-Amz-Date=20261123T023000Z", None),
        ("X-Amz-Date=20261399T023000Z&X-Amz-Expires=5", None),
        ("X-Amz-Date=yesterday&X-Amz-Expires=5", None),
        ("Expires=soon", None),
        ("w=100", None),
    ],
)
def test_a_signed_url_says_when_it_ends(query: str, moment: float | None) -> None:
    assert expires_at(f"{CDN}?{query}") == moment


@pytest.mark.parametrize("url", ["", "http://[", "data:image/png;base64,xx"])
def test_what_is_no_url_never_ends(url: str) -> None:
    assert expires_at(url) is None
