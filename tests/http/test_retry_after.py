import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.http.retry_after import RETRY_AFTER_CAP, asked_pause, parse_retry_after, parse_span

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
NOW = 1_800_000_000
"""2027-01-15 08:00:00 UTC."""


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("17", 17.0),
        (" 17\t", 17.0),
        ("007", 7.0),
        ("3600", 3600.0),
        ("1.5", 1.5),
        ("86401", RETRY_AFTER_CAP),
        (str(30 * 86_400), RETRY_AFTER_CAP),
    ],
)
def test_seconds_are_read_and_capped(value: str, seconds: float) -> None:
    assert parse_retry_after(value) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"), [("3s", 3), ("5 s", 5), ("250ms", 0.25), ("1m30s", 90), ("2 minutes", 120)]
)
def test_a_span_with_its_unit_is_read_too(value: str, seconds: float) -> None:
    assert parse_retry_after(value) == seconds
    assert parse_retry_after(value, DATE) == seconds


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "  ",
        "-5",
        "+5",
        "1.5.5",
        "999999999",
        "9" * 6_000,
        "1_0",
        "1e3",
        "0x10",
        "nan",
        "inf",
        "-inf",
        "soon",
        "5 apples",
        "5s later",
        "5, 6",
        "٣",
        "１２",
        "²",
    ],
)
def test_what_is_neither_a_pause_nor_a_date_says_nothing(value: str | None) -> None:
    assert parse_retry_after(value, DATE) is None


@pytest.mark.parametrize(
    "value",
    ["Sun, 06 Nov 1994 08:51:07 GMT", "Sunday, 06-Nov-94 08:51:07 GMT", "Sun Nov  6 08:51:07 1994"],
    ids=["IMF-fixdate", "RFC 850", "asctime"],
)
@pytest.mark.parametrize(
    "date",
    [DATE, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 09:49:37 +0100"],
)
def test_every_form_of_a_date_is_read_against_the_answers_own(value: str, date: str) -> None:
    assert parse_retry_after(value, date) == 90.0


def test_a_date_that_has_passed_asks_for_nothing() -> None:
    assert parse_retry_after(DATE, "Mon, 07 Nov 1994 08:49:37 GMT") == 0.0


def test_a_date_beyond_a_day_is_capped() -> None:
    assert parse_retry_after("Tue, 15 Nov 1994 08:49:37 GMT", DATE) == RETRY_AFTER_CAP


def test_a_date_that_no_server_means_says_nothing() -> None:
    assert parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", DATE) is None


@pytest.mark.parametrize("date", [None, "", "yesterday", "٣", "Sun, 06 Nov 1994 25:61:61 GMT"])
def test_a_date_is_not_read_against_a_clock_that_may_be_wrong(date: str | None) -> None:
    assert parse_retry_after(DATE, date) is None


@pytest.mark.parametrize(
    "value",
    [
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "Sun, 99 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 99999 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +99999999999999",
        ",",
        "- - -",
    ],
)
def test_a_broken_date_says_nothing(value: str) -> None:
    assert parse_retry_after(value, DATE) is None


DATES = st.lists(
    st.sampled_from(
        ["Sun,", "Sunday,", "06", "6", "Nov", "06-Nov-94", "1994", "08:49:37", ":", "GMT", "+0000", "-", "9" * 20]
    )
).map(" ".join)


@given(value=st.one_of(st.none(), st.text(), DATES), date=st.one_of(st.none(), st.just(DATE), st.text(), DATES))
def test_whatever_a_server_sends_gives_a_sane_time_or_none(value: str | None, date: str | None) -> None:
    seconds = parse_retry_after(value, date)
    assert seconds is None or (math.isfinite(seconds) and 0 <= seconds <= RETRY_AFTER_CAP)


# Moments.


@pytest.mark.parametrize("unit", [1, 1000], ids=["seconds", "milliseconds"])
@pytest.mark.parametrize(("ahead", "seconds"), [(90, 90.0), (0, 0.0), (-30, 0.0), (-200 * 86_400, 0.0)])
def test_a_number_near_the_present_is_a_moment(unit: int, ahead: int, seconds: float) -> None:
    assert parse_retry_after(str((NOW + ahead) * unit), now=NOW) == seconds


def test_a_moment_is_read_against_the_answers_own_date_whatever_our_clock_says() -> None:
    sent = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp()
    assert parse_retry_after(f"{sent + 20:.0f}", DATE, now=NOW) == 20.0


@pytest.mark.parametrize("value", ["99999999999", "32503680000", str(NOW + 400 * 86_400), str(NOW - 400 * 86_400)])
def test_a_number_that_is_neither_a_span_nor_a_moment_says_nothing(value: str) -> None:
    assert parse_retry_after(value, now=NOW) is None


# Other headers, and words.


@pytest.mark.parametrize(
    ("headers", "words", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "7"}, "", 1.5),
        ({"retry-after-ms": "soon", "retry-after": "7"}, "", 7.0),
        ({"retry-after": "7", "x-ratelimit-reset-requests": "30s"}, "", 7.0),
        ({"x-ratelimit-reset-requests": "6m0s"}, "", 360.0),
        ({"x-ratelimit-reset-tokens": "120ms"}, "", 0.12),
        ({"x-ratelimit-reset": "12"}, "", 12.0),
        ({"ratelimit-reset": "12"}, "", 12.0),
        ({"x-ratelimit-reset": str(NOW + 45)}, "", 45.0),
        ({"x-ratelimit-reset-requests": "2027-01-15T08:00:30Z"}, "", 30.0),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "20s"}, "", 20.0),
        (
            {
                "x-ratelimit-reset-requests": "20s",
                "x-ratelimit-remaining-requests": "3",
                "x-ratelimit-reset-tokens": "1s",
                "x-ratelimit-remaining-tokens": "0",
            },
            "",
            1.0,
        ),
        ({"x-ratelimit-reset-requests": "24h"}, "", None),
        ({}, "Rate limit reached for images per minute. Please try again in 2s.", 2.0),
        ({}, "Your rate limit resets in ~30s", 30.0),
        ({}, "try again in 2 pictures", None),
        ({}, "retry after 20 seconds", 20.0),
        ({}, "Capacity is available in 15 seconds", 15.0),
        ({"retry-after": "3s"}, "", 3.0),
        ({}, "Please try again in 1m30s.", 90.0),
        ({}, "", None),
    ],
)
def test_a_pause_is_read_wherever_a_server_says_it(headers: dict[str, str], words: str, seconds: float | None) -> None:
    found = asked_pause(headers, words, now=NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("1s", 1.0), ("6m0s", 360.0), ("120ms", 0.12), ("2 minutes", 120.0), ("34.5", 34.5), ("1h2m", 3720.0)],
        *[("", None), ("s", None), ("5 apples", None), ("-5s", None), ("1s later", None)],
    ],
)
def test_a_span_is_read_in_every_spelling(text: str, seconds: float | None) -> None:
    assert parse_span(text) == (None if seconds is None else pytest.approx(seconds))
