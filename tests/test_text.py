import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text import duration, grouped, one_line, plural, printable, short, usd, without_query


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Raccoon eating ice-cream",
        "two\nlines\tand a tab",
        "Größe, élan, 東京, עברית, العربية, हिन्दी",
        "👩\u200d👩\u200d👧 ❤\ufe0f",
        "می\u200cخواهم",
        "no\u00a0break",
        "\ue000 for private use",
        r"a literal \x1b",
    ],
)
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]52;c;aGk=\x07", r"\x1b]52;c;aGk=\x07"),
        ("over\rwritten", r"over\x0dwritten"),
        ("\x00 \x08 \x0b \x0c \x7f", r"\x00 \x08 \x0b \x0c \x7f"),
        ("\x85 \x9b31m \x9d", r"\x85 \x9b31m \x9d"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u200e\u200f\u061c\u2066\u2069", r"\u200e\u200f\u061c\u2066\u2069"),
        ("\ufeff\u200b\u00ad", r"\ufeff\u200b\xad"),
        ("\u2028 \u2029", r"\u2028 \u2029"),
        ("\ud800 \udfff", r"\ud800 \udfff"),
        ("\U000e0041", r"\U000e0041"),
    ],
    ids=["colour", "clipboard", "return", "C0", "C1", "override", "direction", "invisible", "lines", "lone", "tag"],
)
def test_what_a_terminal_may_obey_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_every_character_of_the_assigned_planes_is_either_harmless_or_escaped() -> None:
    codes = [*range(0x20000), *range(0xE0000, 0xE1000), *range(0x10FF00, sys.maxunicode + 1)]
    shown = printable("".join(map(chr, codes)))
    left = {unicodedata.category(character) for character in set(shown) - set("\n\t\u200c\u200d")}
    assert not left & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown.encode()


@given(st.text())
def test_what_is_printable_is_shown_the_same_twice(text: str) -> None:
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize(
    ("limit", "shown"), [(None, "abcdef"), (7, "abcdef"), (6, "abcdef"), (5, "abcd…"), (2, "a…"), (1, "…")]
)
def test_text_is_cut_at_its_limit_and_says_so(limit: int | None, shown: str) -> None:
    assert printable("abcdef", limit) == shown
    assert one_line("abcdef", limit) == shown


@given(st.text(st.characters(codec=None)), st.integers(1, 20))
def test_one_line_is_one_line_within_its_limit(text: str, limit: int) -> None:
    shown = one_line(text, limit)
    assert len(shown) <= limit
    assert len(f"{shown}.".splitlines()) == 1
    assert "\t" not in shown


def test_in_one_line_feeds_and_tabs_are_visible() -> None:
    assert one_line("a\nb\tc\r\n") == r"a\nb\tc\x0d\n"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://cdn.example/a/b.png?X-Amz-Signature=s3cret", "https://cdn.example/a/b.png"),
        ("https://cdn.example/a.png#s3cret", "https://cdn.example/a.png"),
        ("https://user:s3cret@cdn.example:8443/a.png", "https://cdn.example:8443/a.png"),
        ("http://[::1]:80/a?s3cret", "http://[::1]:80/a"),
        ("HTTPS://cdn.example?s3cret", "https://cdn.example"),
        ("/relative/a.png?s3cret", "/relative/a.png"),
        ("//cdn.example/a.png?s3cret", "/a.png"),
        ("http://user:s3cret@[::1/a.png?s3cret", "[::1/a.png"),
        ("http://[::1/a.png#s3cret", "http://[::1/a.png"),
        ("data:image/png;base64,s3cret", "data:image/png;base64,…"),
        ("DATA:image/png;base64,s3cret", "DATA:image/png;base64,…"),
        ("data:" + "a" * 500, "data:" + "a" * 55 + ",…"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_what_lets_its_reader_in(url: str, shown: str) -> None:
    assert without_query(url) == shown


@given(st.text(), st.text())
def test_no_query_is_ever_shown(path: str, query: str) -> None:
    assert "?" not in without_query(f"https://cdn.example/{path}?{query}").partition("data:")[0]


@pytest.mark.parametrize(("number", "shown"), [(0, "0"), (999, "999"), (1000, "1,000"), (1234567, "1,234,567")])
def test_thousands_are_set_apart(number: int, shown: str) -> None:
    assert grouped(number) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (10_000, "10.0k"),
        (999_949, "999.9k"),
        (999_950, "1.0M"),
        (5_200_000_000, "5,200.0M"),
    ],
)
def test_large_numbers_can_be_told_in_few_characters(number: int, shown: str) -> None:
    assert short(number) == shown


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0 images"), (1, "1 image"), (2, "2 images"), (1200, "1,200 images")]
)
def test_a_number_and_its_noun_agree(number: int, shown: str) -> None:
    assert plural(number, "image") == shown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0.0, "$0.00"),
        (1e-9, "<$0.0001"),
        (0.00004, "<$0.0001"),
        (0.0001, "$0.0001"),
        (0.0125, "$0.0125"),
        (0.05, "$0.05"),
        (0.078, "$0.078"),
        (0.5, "$0.50"),
        (0.99994, "$0.9999"),
        (0.99996, "$1.00"),
        (1.0, "$1.00"),
        (12.345, "$12.35"),
        (1234567.891, "$1,234,567.89"),
    ],
)
def test_dollars_have_cents_and_small_sums_hundredths_of_them(amount: float, shown: str) -> None:
    assert usd(amount) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (0.84, "0.8 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (42.4, "42 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (185, "3 min 5 s"),
        (3599.6, "1 h 0 min"),
        (7800, "2 h 10 min"),
        (86_399, "23 h 59 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_a_span_of_time_is_told_in_its_two_largest_units(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
