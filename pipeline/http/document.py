"""An answer's JSON as Python values, at a price in memory that does not depend on what the answer holds.

Pictures inside an answer are strings of many megabytes. They are cut out of the text before it is parsed: the value has
a mark in their place, and `JsonDocument.long` has where in the text they are. What is left must be small, for a million
tiny values take half a gigabyte once they are Python objects.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Text = bytes | bytearray | memoryview

LONG = 16 * 1024
"""Bytes from which on a string is cut out."""

SMALL = 64 * 1024
"""Bytes up to which a whole answer is parsed as it is."""

MOST_REST = 4 * 1024 * 1024
"""Bytes that may be left without the long strings."""

MOST_SIGNS = 200_000
"""Commas, brackets, braces and quotes that an answer may hold, in its strings as well: base64 has none of them, and ten
pictures with all that is said of them need some hundreds."""

_STRETCH = 1024 * 1024
"""Bytes that are looked at in one go."""

_HEAD = 8 * 1024
"""Bytes of a long string that `readable` shows."""

MOST_DEPTH = 200
"""Lists and objects inside one another, at most: what Python can bear differs from version to version."""

_SPACES = re.compile(rb"[ \t\r\n]{32,}")
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Span:
    """A string as it stands in the text, between its quotes and still escaped.

    Attributes:
        text: The whole text.
        start: Where it begins.
        end: Where it ends.
    """

    text: Text = field(repr=False)
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def slice(self, start: int, end: int) -> bytes:
        """Bytes `start` to `end` of it."""
        return bytes(memoryview(self.text)[self.start + start : min(self.start + end, self.end)])


@dataclass(frozen=True, slots=True)
class JsonDocument:
    """A JSON document.

    Attributes:
        value: Its value, with a mark for each long string.
        long: The long strings by their marks.
    """

    value: Any
    long: Mapping[str, Span] = field(default_factory=dict)


def parse(text: bytes | bytearray) -> JsonDocument:
    """A JSON document as Python values.

    It is read generously, for it may have been paid for: a byte that is not UTF-8 becomes U+FFFD, a number of any
    length is a number, and what follows the document is left alone.

    Raises:
        ValueError: It is not JSON, is nested deeper than anything sensible, or holds more values than any answer does.
    """
    if len(text) <= SMALL:
        return JsonDocument(_parsed(bytes(text)))
    if sum(map(text.count, (b",", b"{", b"[", b'"'))) > MOST_SIGNS:
        raise ValueError("it holds far more values than an answer with pictures does")
    rest, long = _cut(text)
    return JsonDocument(_parsed(rest), long)


def readable(document: JsonDocument) -> Any:
    """Its value with the beginning of each long string where the mark of it stands: what was said, for people."""
    return _unmarked(document.value, document.long) if document.long else document.value


def _unmarked(value: Any, long: Mapping[str, Span]) -> Any:
    if isinstance(value, dict):
        return {name: _unmarked(one, long) for name, one in value.items()}
    if isinstance(value, list):
        return [_unmarked(one, long) for one in value]
    if isinstance(value, str) and value in long:
        return long[value].slice(0, _HEAD).decode("utf-8", "replace")
    return value


def is_deep(text: bytes) -> bool:
    """Whether a JSON text is nested deeper than anything sensible."""
    depth = 0
    if text.count(b"[") + text.count(b"{") > MOST_DEPTH:
        for found in _STRUCTURE.finditer(text):
            depth += {0x5B: 1, 0x7B: 1, 0x5D: -1, 0x7D: -1}.get(text[found.start()], 0)
            if depth > MOST_DEPTH:
                return True
    return False


def _cut(text: bytes | bytearray) -> tuple[bytes, dict[str, Span]]:
    """The text without its long strings and long runs of spaces, and those strings by what stands in their place."""
    mark = _unused(text)
    rest, long, at = bytearray(), dict[str, Span](), 0
    for start, end in _strings(text):
        if end - start < LONG:
            continue
        name = f"{mark}{len(long)}"
        long[name] = Span(text, start, end)
        _squeeze(rest, text, at, start)
        rest += name.encode()
        at = end
    _squeeze(rest, text, at, len(text))
    return bytes(rest), long


def _strings(text: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Where each string begins and ends, without its quotes. Outside strings, JSON has no quotes."""
    start = text.find(b'"') + 1
    while start:
        end = text.find(b'"', start)
        while end >= 0 and _is_escaped(text, start, end):
            end = text.find(b'"', end + 1)
        if end < 0:
            return
        yield start, end
        start = text.find(b'"', end + 1) + 1


def _is_escaped(text: bytes | bytearray, start: int, at: int) -> bool:
    first = at
    while first > start and text[first - 1] == 0x5C:
        first -= 1
    return (at - first) % 2 == 1


def _squeeze(rest: bytearray, text: bytes | bytearray, start: int, end: int) -> None:
    """Add a part of the text to the rest, with its long runs of spaces as single ones.

    Also inside short strings: a prompt with 32 spaces in a row loses nothing that anyone needs.
    """
    for at in range(start, end, _STRETCH):
        rest += _SPACES.sub(b" ", memoryview(text)[at : min(at + _STRETCH, end)])
        if len(rest) > MOST_REST:
            raise ValueError(f"it holds more than {MOST_REST / 1e6:.0f} MB besides its pictures")


def _unused(text: bytes | bytearray) -> str:
    """A beginning for the marks that the text itself does not hold."""
    number = 0
    while f"~long{number}~".encode() in text:
        number += 1
    return f"~long{number}~"


def _parsed(text: bytes) -> Any:
    if is_deep(text):
        raise ValueError("it is nested too deeply")
    try:
        return json.loads(text)
    except ValueError:
        return _generously(text)


def _generously(text: bytes) -> Any:
    """The same for a text that is not quite JSON."""
    plain = text.decode(json.detect_encoding(text), "replace").strip("\ufeff \t\r\n")
    value, end = json.JSONDecoder(parse_int=_number).raw_decode(plain)
    if end < len(plain) and not isinstance(value, dict):
        # `404 page not found` begins with a number, and is not one.
        raise ValueError("it is not JSON")
    return value


def _number(digits: str) -> int | float:
    # Python converts at most 4,300 digits; no sum has more than 20.
    return int(digits) if len(digits) < 400 else float(digits)
