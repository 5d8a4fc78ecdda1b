from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.http.wire import Answer, amount, cost, parse_json, whole_number

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


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 201 + b"]" * 201, b'{"a": 1}x'])
def test_what_is_no_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(body)


def test_json_may_begin_with_a_byte_order_mark() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": NaN}').keys() == {"a"}
