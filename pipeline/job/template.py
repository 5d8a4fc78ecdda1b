"""Prompts with variables: `A {animal} in a {season} forest`. `{{` and `}}` are braces."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

NAME = re.compile(r"[^\W\d][\w.-]*(?: [\w.-]+)*")
"""A variable's name: a word or, as columns of a table have it, several."""

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class BadTemplate(Exception):
    """A brace that belongs to no variable: what was found, and the cure."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.message, self.cure = message, cure


@dataclass(frozen=True, slots=True)
class Template:
    """A text with places for variables.

    Attributes:
        texts: The text before, between and after the variables; one more than there are variables.
        fields: The variable at each place; one may be used several times.
        names: The variables, each once, in the order of their first use.
    """

    texts: tuple[str, ...]
    fields: tuple[str, ...]
    names: tuple[str, ...]

    def render(self, values: Mapping[str, str]) -> str:
        """The text with these values; what looks like a variable in a value stays as it is."""
        filled = [self.texts[0]]
        for name, text in zip(self.fields, self.texts[1:], strict=True):
            filled += (values[name], text)
        return "".join(filled)


def parse(text: str) -> Template:
    """The template that a text is. White space around it is not part of it.

    Raises:
        BadTemplate: A brace is neither doubled nor around the name of a variable.
    """
    text = text.strip()
    if "{" not in text and "}" not in text:
        return Template((text,), (), ())
    texts, fields, end = [], [], 0
    pieces: list[str] = []  # of the next text: adding to it brace by brace would take the square of their number
    for token in _TOKEN.finditer(text):
        pieces.append(text[end : token.start()])
        end = token.end()
        if token[0] in ("{{", "}}"):
            pieces.append(token[0][0])
            continue
        name = (token[1] or "").strip()
        if not NAME.fullmatch(name):
            found = token[0] if len(token[0]) <= 40 else f"{token[0][:37]}…"
            raise BadTemplate(f"has {found!r}", "write {name} for a variable, {{ and }} for braces")
        fields.append(name)
        texts.append("".join(pieces))
        pieces = []
    texts.append("".join([*pieces, text[end:]]))
    return Template(tuple(texts), tuple(fields), tuple(dict.fromkeys(fields)))


def mentioned(text: str) -> set[str]:
    """What may be variables of a text that is no sound template."""
    return {token[1].strip() for token in _TOKEN.finditer(text) if token[1]}
