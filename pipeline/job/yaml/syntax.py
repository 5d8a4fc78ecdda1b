"""What libyaml refuses, told so that a person who does not know YAML can mend it.

Its own words say what its grammar expected, which is rarely what the writer did wrong. So the usual slips are looked
for in the text first; no test and no cure depends on those words.
"""

import re

import yaml

from pipeline.model import Place

DEEPEST = 20
"""Levels of nesting."""

TOO_DEEP = (f"it is nested more than {DEEPEST} levels deep", "a job needs four or five")

_OPENERS = re.compile(rf"(?:[\[{{]\s*(?:[^\s\[\]{{}},:\"'#]+:\s+)?){{{DEEPEST}}}(?=[\[{{])")
_AHEAD = 2048
"""Characters that libyaml may have read beyond the place of an error; it looks 1,024 ahead for a `:`."""

_CURE = 'check the indentation, and put text that holds ": " or begins with [ { & * ! in quotes'


class BadYaml(Exception):
    """The file is no YAML that a job may be written in: where, what was found, and the cure."""

    def __init__(self, place: Place, message: str, cure: str) -> None:
        super().__init__(message)
        self.place, self.message, self.cure = place, message, cure


def diagnosed(error: yaml.MarkedYAMLError, text: str, file: str) -> BadYaml:
    """What to say of a text that libyaml can't read."""
    mark, began = error.problem_mark, error.context_mark
    if deep := _OPENERS.search(text, 0, (mark.index if mark else 0) + _AHEAD):
        return BadYaml(place_of(text, deep.end(), file), *TOO_DEEP)
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
    context = f" {error.context}" if error.context else ""
    since = f" from line {began.line + 1} on" if began and mark and began.line != mark.line else ""
    words = f"it is no valid YAML:{context}{since}{',' if context or since else ''} {error.problem}"
    return BadYaml(place, *_slip(text, mark.index if mark else len(text), words))


def place_of(text: str, index: int, file: str) -> Place:
    """The line and the column of a character."""
    before = text[:index]
    line = before.count("\n") + before.count("\r") - before.count("\r\n") + 1
    return Place(file, line, index - max(before.rfind("\n"), before.rfind("\r")))


def _slip(text: str, index: int, words: str) -> tuple[str, str]:
    """What was found at a place, and the cure; `words` where nothing else is known."""
    line = text[text.rfind("\n", 0, index) + 1 : index]
    rest = text[index:].partition("\n")[0]
    before = line.rstrip(" ")
    if rest.strip() and before.endswith(('"', "'")) and _NESTED.search(before):
        quote = before[-1]
        other = '\\"' if quote == '"' else "''"
        whole = "single quotes: 'A sign saying \"hello\"'" if quote == '"' else 'double quotes: "It\'s a fox"'
        cure = f"write {other} for a {quote} within the text, or put all of the text in {whole}"
        return f"it is no valid YAML: the text in quotes ends before {rest[:20].strip()!r}", cure
    above = text[:index].rstrip(" ").rstrip("\r\n").rpartition("\n")[2]
    if not before and re.search(r"[^\s#][^\"'#]*\s#", above):
        return words, "a # after a space begins a comment, which ends the text: put text that holds one in quotes"
    if rest[:1] == "\t" or "\t" in line[: len(line) - len(line.lstrip())]:
        return words, "indent with spaces: YAML allows no tab there"
    if rest[:1] in ("@", "`", "%"):
        return words, f"put text that begins with {rest[0]} in quotes"
    if rest[:1] == ":" or line.endswith(":"):
        return words, 'put text that holds ": " in quotes'
    return words, _CURE


_NESTED = re.compile(r"(?:^|[\s\[{,:-])([\"'])(?:(?!\1).)*\1$")
"""A text in quotes at the end of what was read of a line."""
