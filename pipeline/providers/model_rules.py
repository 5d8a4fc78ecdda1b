"""Values against what a model documents of its parameters: a type, bounds, choices, lengths."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from typing import Any

Spec = Mapping[str, Any]
"""What is documented of one parameter: `type`, `enum`, `minimum`, `maximum`, `maxLength`, `items`, `any_of` …"""

Violation = tuple[str, str, str]
"""The parameter (`image_size.width` for a part of one), what was found, and the cure."""

_WORD_ENDS = re.compile(r"[_\s-]+")

_SIDES = ("width", "height")
"""Parts that are numbers of pixels."""

_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}


def violations(name: str, value: Any, spec: Spec) -> Iterator[Violation]:
    """Everything about a value that its parameter does not allow."""
    if "any_of" in spec:
        yield from _alternatives(name, value, spec["any_of"])
    elif "object" in spec:
        yield from _object(name, value, spec)
    elif not _is(value, spec.get("type")):
        yield name, f"{name} is {shown(value)}", f"write {_WORDS[spec['type']]}"
    elif "enum" in spec:
        if value not in spec["enum"]:
            yield name, f"{name} is {shown(value)}", _choices(value, spec["enum"])
    elif isinstance(value, str):
        yield from _text(name, value, spec)
    elif isinstance(value, Sequence):
        yield from _list(name, value, spec)
    elif not isinstance(value, bool | Mapping):
        yield from _number(name, value, spec)


def shown(value: Any) -> str:
    """A value as an error shows it: on one line and not longer than a line needs."""
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def nearest(word: str, choices: Sequence[str]) -> str | None:
    """The choice that a misspelt word most likely meant, or None; upper and lower case count as the same.

    Of names of several words, as `negative_prompt` and `enhance_prompt`, the words that differ must be near each other:
    what they share says nothing.
    """
    folded = {choice.casefold(): choice for choice in reversed(choices)}
    found = get_close_matches(word.casefold(), folded, n=3, cutoff=0.6)
    return next((folded[near] for near in found if _same_words(word.casefold(), near)), None)


def _same_words(one: str, other: str) -> bool:
    """Whether each word of a name is like the word of the other name at its place."""
    mine, theirs = _WORD_ENDS.split(one), _WORD_ENDS.split(other)
    if len(mine) == len(theirs) == 1:
        return True
    if len(mine) != len(theirs):
        return SequenceMatcher(None, "".join(mine), "".join(theirs)).ratio() >= 0.85
    return all(SequenceMatcher(None, *pair).ratio() >= 0.6 for pair in zip(mine, theirs, strict=True))


def _is(value: Any, kind: str | None) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, Sequence) and not isinstance(value, str)
        case "object":
            return isinstance(value, Mapping)
    return True


def _alternatives(name: str, value: Any, specs: Sequence[Spec]) -> Iterator[Violation]:
    """A parameter of several types: the one whose type the value has decides."""
    for spec in specs:
        if _is(value, "object" if "object" in spec else spec["type"]):
            yield from violations(name, value, spec)
            return
    cures = [_alternative(spec) for spec in specs]
    yield name, f"{name} is {shown(value)}", f"write {' or '.join(cures)}"


def _alternative(spec: Spec) -> str:
    if "object" in spec:
        parts = spec["object"].items()
        words = [f"{part}: {'pixels' if part in _SIDES else _WORDS[part_spec['type']]}" for part, part_spec in parts]
        return "{" + ", ".join(words) + "}"
    return f"one of {', '.join(spec['enum'])}" if "enum" in spec else _WORDS[spec["type"]]


def _object(name: str, value: Any, spec: Spec) -> Iterator[Violation]:
    """A mapping of parts: all of them are needed, unless `required` names those that are."""
    parts, step = spec["object"], spec.get("multiple_of")
    if not isinstance(value, Mapping):
        yield name, f"{name} is {shown(value)}", f"write a mapping: {_alternative(spec)}"
        return
    for key in value:
        if key not in parts:
            yield f"{name}.{key}", f"{name} has no {shown(key)}", f"it has {' and '.join(parts)}"
    for part, part_spec in parts.items():
        path = f"{name}.{part}"
        if part not in value:
            if part in spec.get("required", parts):
                yield name, f"{name} has no {part}", f"write {_alternative(spec)}"
            continue
        found = list(violations(path, value[part], part_spec))
        yield from found
        if step and not found and value[part] % step:
            below = value[part] // step * step
            yield path, f"{path} is {value[part]}", f"write a multiple of {step}: {below} or {below + step}"


def _choices(value: Any, choices: Sequence[Any]) -> str:
    words = [str(choice).lower() if isinstance(choice, bool) else str(choice) for choice in choices]
    likely = nearest(str(value), words)
    if len(words) == 1:
        return f"the only choice is {words[0]}"
    return (f"did you mean {likely}? " if likely else "") + f"the choices are {', '.join(words)}"


def _text(name: str, value: str, spec: Spec) -> Iterator[Violation]:
    shortest, longest = spec.get("minLength", 0), spec.get("maxLength")
    if len(value) < shortest:
        yield name, f"{name} has {len(value)} characters", f"write at least {shortest}"
    if longest is not None and len(value) > longest:
        yield name, f"{name} has {len(value)} characters", f"shorten it to {longest}"
    if spec.get("format") == "uri" and not value.startswith(("http://", "https://", "data:")):
        yield name, f"{name} is {shown(value)}", "write a URL that starts with https:// or a data: URI"


def _list(name: str, value: Sequence[Any], spec: Spec) -> Iterator[Violation]:
    least, most = spec.get("minItems", 0), spec.get("maxItems")
    if len(value) < least or (most is not None and len(value) > most):
        span = f"at least {least}" if most is None else f"{least} to {most}"
        yield name, f"{name} has {len(value)} entries", f"write {span}"
    for index, item in enumerate(value):
        yield from violations(f"{name}.{index}", item, spec.get("items", {}))


def _number(name: str, value: float, spec: Spec) -> Iterator[Violation]:
    least, most = spec.get("minimum"), spec.get("maximum")
    low, high = least is not None and value < least, most is not None and value > most
    if low or high or value != value:
        if least is not None and most is not None:
            cure = f"write {least} to {most}"
        else:
            cure = f"write {least} or more" if most is None else f"write {most} or less"
        yield name, f"{name} is {value}", cure
