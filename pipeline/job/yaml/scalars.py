"""Scalars by the core rules of YAML 1.2, which keep what was written beside what it means."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.providers import model_rules

LONGEST_NUMBER = 40
"""Characters a number may have; a longer row of digits is text."""

_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_FIRST = frozenset("-+.0123456789tTfFnN~")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number or a truth value, and how it was written: `007` is 7 for a count and `007` in a prompt."""

    text: str
    value: bool | int | float


def read_scalar(text: str) -> str | Scalar | None:
    """What a plain scalar means: `no`, `on`, `16:9` and `2026-11-23` are text, `true` and `7` are not."""
    if text and text[0] not in _FIRST:
        return text
    if text in _NULLS:
        return None
    if text in _WORDS:
        return Scalar(text, _WORDS[text])
    if len(text) > LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return Scalar(text, int(text))
    if _BASED.fullmatch(text):
        return Scalar(text, int(text[2:], 8 if text[1] == "o" else 16))
    if _FLOAT.fullmatch(text):
        return Scalar(text, float(text))
    if _SPECIAL.fullmatch(text):
        return Scalar(text, float(text.replace(".", "").lower()))
    return text


def value_of(value: Any) -> Any:
    """The same without the memory of how it was written, down to the leaves."""
    if isinstance(value, Scalar):
        return value.value
    if isinstance(value, Mapping):
        return {key: value_of(item) for key, item in value.items()}
    if isinstance(value, list):
        return [value_of(item) for item in value]
    return value


def shown(value: Any) -> str:
    """A value as an error shows it: as it was written, on one line, not longer than a line needs."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return value.text if isinstance(value, Scalar) else model_rules.shown(value)
