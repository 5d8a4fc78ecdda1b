"""The rows of an included file: `.csv`, `.tsv`, `.jsonl` or `.txt`, read one at a time."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.job import files
from pipeline.job.files import Unreadable
from pipeline.job.rows import tables
from pipeline.job.rows.row import Row
from pipeline.job.yaml import lines
from pipeline.job.yaml.lines import Note
from pipeline.job.yaml.scalars import read_scalar
from pipeline.model import Place

SUFFIXES = (".csv", ".tsv", ".jsonl", ".txt")

MOST_BYTES = 500_000_000
"""Bytes an included file may have."""

DEEPEST = 20
"""Levels of nesting in a line of JSON."""


def _unheard(_: str) -> None:
    """Nothing is noted where the file was read before."""


def read(path: Path, shown: str, encoding: str | None = None, note: Note = _unheard) -> Iterator[Row | Unreadable]:
    """The rows of a file, in order, and in place of one that is broken what is wrong with it.

    What makes the rest of the file unreadable comes last.

    Args:
        path: The file.
        shown: Its name as errors show it.
        encoding: How it is written, where the job says so.
        note: Takes what the user should know though it is not a mistake.
    """
    try:
        with files.opened(path, shown, MOST_BYTES) as file:
            found = lines.read(file, shown, encoding, note)
            match path.suffix.lower():
                case ".csv" | ".tsv":
                    yield from tables.read(found, shown)
                case ".jsonl":
                    yield from _jsonl(found, shown)
                case _:
                    yield from _txt(found, shown, note)
    except Unreadable as error:
        yield error


_COMMENT = re.compile(r"#(?:[\s#!=*-]|$)")
r"""A comment as it looks; `#1 dad mug` may be one, or a prompt: `\#1 dad mug` is a prompt for certain."""


def _txt(found: Iterator[tuple[int, str]], shown: str, note: Note) -> Iterator[Row]:
    """A prompt a line; blank lines and lines that begin with # are none."""
    doubtful: list[tuple[int, str]] = []
    for number, line in found:
        text = line.strip()
        if text.startswith("#"):
            if not _COMMENT.match(text) and not doubtful:
                doubtful.append((number, text if len(text) <= 60 else f"{text[:57]}…"))
        elif text:
            yield Row(shown, number, {"line": text.removeprefix("\\") if text.startswith("\\#") else text}, text=True)
    for number, text in doubtful:
        note(
            f"{shown}, line {number}: {text!r} is passed over, for it begins with #. If it is a prompt, write a \\ "
            "before the #; if not, a space after it"
        )


def _jsonl(found: Iterator[tuple[int, str]], shown: str) -> Iterator[Row | Unreadable]:
    decoder = json.JSONDecoder(
        object_pairs_hook=_pairs, parse_int=read_scalar, parse_float=read_scalar, parse_constant=_no_number
    )
    first = True
    for number, line in found:
        if not line.strip():
            continue
        if first:
            _check_form(line.strip(), Place(shown, number))
            first = False
        yield _object(decoder, line.rstrip(), shown, number)


def _object(decoder: json.JSONDecoder, line: str, shown: str, number: int) -> Row | Unreadable:
    if line.count("[") + line.count("{") > DEEPEST and _depth(line) > DEEPEST:
        return Unreadable(Place(shown, number), f"it is nested more than {DEEPEST} levels deep", _JSONL_CURE)
    try:
        cells = decoder.decode(line)
    except json.JSONDecodeError as error:
        return Unreadable(Place(shown, number, error.colno), f"not valid JSON: {error.msg}", _JSONL_CURE)
    except _Refused as error:
        return Unreadable(Place(shown, number), str(error), _JSONL_CURE)
    if isinstance(cells, dict):
        return Row(shown, number, cells)
    return Unreadable(Place(shown, number), "the line is no mapping", _JSONL_CURE)


_JSONL_CURE = 'write one {"column": "value", …} a line'


def _check_form(line: str, place: Place) -> None:
    """Refuse a file that is JSON, and not a line of it for each row, by its first line."""
    if line.startswith("["):
        raise Unreadable(place, "this is a JSON array", f"{_JSONL_CURE}; jq -c '.[]' FILE makes that of an array")
    if line == "{":
        raise Unreadable(place, "an object goes on over several lines", f"{_JSONL_CURE}; jq -c . FILE does that")


_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]')


def _depth(line: str) -> int:
    """How deep the lists and mappings of a line are nested."""
    depth = most = 0
    for token in _BRACKET.finditer(line):
        if token[0] in "[{":
            depth += 1
            most = max(most, depth)
        elif token[0] in "]}":
            depth -= 1
    return most


class _Refused(Exception):
    """JSON that Python would read and nobody can have meant."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise _Refused(f"{twice!r} is written twice")
    return found


def _no_number(word: str) -> Any:
    raise _Refused(f"{word} is no number")
