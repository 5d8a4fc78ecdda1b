"""Scalars mean what they look like: the core rules of YAML 1.2."""

import math
import re
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.job.diagnostics.diagnostic import Diagnostics
from pipeline.job.yaml import yaml12
from pipeline.job.yaml.scalars import Scalar, read_scalar, shown, value_of
from pipeline.job.yaml.syntax import BadYaml
from tests.job.conftest import Write, items


def read(text: str) -> Any:
    mistakes = Diagnostics()
    plain = yaml12.read(text, "job.yaml", mistakes).root.plain()
    assert not mistakes.problems
    return value_of(plain)


@pytest.mark.parametrize(
    "text",
    [
        "16:9",
        "1:1",
        "no",
        "on",
        "yes",
        "off",
        "y",
        "N",
        "2026-11-23",
        "1_000",
        "0b11",
        "12e",
        "190:20:30",
        "0o8",
        "=",
    ],
)
def test_what_yaml_1_1_makes_of_it_is_forgotten(text: str) -> None:
    assert read(f"a: {text}") == {"a": text}
    assert read(f"[{text}]") == [text]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("007", 7),
        ("-12", -12),
        ("+3", 3),
        ("0o17", 15),
        ("0xfF", 255),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("'7'", "7"),
        ("!!str 7", "7"),
        ("!!int '7'", 7),
        ("9" * 41, "9" * 41),
    ],
)
def test_numbers_truth_and_nothing_are_what_the_core_rules_say(text: str, value: object) -> None:
    found = read(f"a: {text}")["a"]
    assert (found, type(found)) == (value, type(value))


def test_no_number_is_a_number_too() -> None:
    assert math.isnan(read("a: .nan")["a"])


def test_a_prompt_is_what_was_written(write: Write) -> None:
    written = ["007", "1e3", "no", "2026-11-23", "16:9", "true", "0x10", "1_000", ".5"]
    path = write("prompts:\n" + "".join(f"  - {text}\n" for text in written))
    assert [item.prompt for item in items(path)] == written


def test_anchors_and_merge_keys_work() -> None:
    text = """
x-defaults: &defaults {count: 2, model: m}
x-more: &more {model: &n n, seeds: 1}
x-name: *n
prompts:
  - <<: *defaults
    count: 3
  - count: 3
    <<: [*defaults, *more]
  - *defaults
"""
    assert read(text)["x-name"] == "n"
    assert read(text)["prompts"] == [
        {"count": 3, "model": "m"},
        {"count": 3, "model": "m", "seeds": 1},
        {"count": 2, "model": "m"},
    ]


def test_a_merged_value_is_placed_where_it_was_written() -> None:
    document = yaml12.read("a: &a {b: 1}\nc:\n  <<: *a\n", "job.yaml", Diagnostics())
    assert str(document.place("c", "b")) == "job.yaml:1:11"
    assert str(document.key_place("c", "b")) == "job.yaml:1:8"
    assert str(document.at("c").place("missing", 3)) == "job.yaml:3:3"
    assert document.at("c", 1).name("b") == "c[1].b"


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=40))
def test_every_quoted_text_comes_back(text: str) -> None:
    written = yaml.safe_dump({"a": text}, default_style='"', allow_unicode=True)
    assert read(written) == {"a": text}


@given(st.text(alphabet="0123456789-+.:eExoabfnulTtrsyNO_ ", max_size=12))
def test_a_scalar_never_loses_its_text(text: str) -> None:
    text = text.strip()
    found = read_scalar(text)
    if isinstance(found, Scalar):
        assert found.text == text
        assert isinstance(found.value, bool) == (text.lower() in ("true", "false"))
    else:
        assert found == text or (found is None and text.lower() in ("", "null", "~"))


@given(st.from_regex(re.compile(r"[-+]?[0-9]{1,40}"), fullmatch=True).filter(lambda text: len(text) <= 40))
def test_digits_are_a_number_in_tens(text: str) -> None:
    assert value_of(read_scalar(text)) == int(text)


@given(st.binary(max_size=60))
def test_no_bytes_whatever_end_in_a_traceback(data: bytes) -> None:
    with suppress(BadYaml):
        yaml12.read(data.decode("latin-1"), "job.yaml", Diagnostics())


def test_a_value_is_shown_as_it_was_written() -> None:
    assert [shown(value) for value in (Scalar("0x10", 16), {"a": 1}, [1], None, True, "x")] == [
        "0x10",
        "a mapping",
        "a list",
        "null",
        "true",
        "'x'",
    ]
