"""What pydantic finds, said to people."""

import re
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.job import synonyms
from pipeline.job.diagnostics.diagnostic import Diagnostics, WrittenAt
from pipeline.job.schema import JobSpec, LimitsSpec, PromptSpec
from pipeline.job.yaml.scalars import shown
from pipeline.providers.model_rules import nearest
from pipeline.settings import KEY_VARIABLES

_SECRET = re.compile(r"api.?key|(^|[-_.])key$|secret|passw|auth|bearer|credential|(^|[-_.])token$", re.IGNORECASE)
_CONTAINERS = {
    "model_type": "write its keys below it, each with a value",
    "dict_type": "write its keys below it, each with a value",
    "list_type": "write a list: [a, b], or a line with - for each",
}


def looks_secret(key: str) -> bool:
    """Whether a key's name says that its value is one nobody should see."""
    return bool(_SECRET.search(key))


def secret(name: str) -> tuple[str, str]:
    """What to say about a key that holds a secret: never its value."""
    return (
        f"{name} has no place in a job file",
        f"set {KEY_VARIABLES[0]} in the environment, and change the key if others saw it",
    )


def report(error: ValidationError, source: WrittenAt, mistakes: Diagnostics, spec: type[BaseModel]) -> None:
    """Note everything that pydantic found wrong."""
    for found in error.errors(include_url=False):
        path = found["loc"]
        if found["type"] == "extra_forbidden":
            mistakes.add(source.key_place(*path), *_unknown(path, source, spec))
        else:
            mistakes.add(source.place(*path), *_wrong(found, source))


def _unknown(path: tuple[str | int, ...], source: WrittenAt, spec: type[BaseModel]) -> tuple[str, str]:
    *around, last = path
    name, key = source.name(*path), str(last)
    if looks_secret(key):
        return secret(name)
    if around[:1] == ["limits"]:
        spec = LimitsSpec
    elif around[:1] == ["prompts"]:
        spec = PromptSpec
    own, other = list(spec.model_fields), PromptSpec if spec is JobSpec else JobSpec
    meant = None if spec is LimitsSpec or key in other.model_fields else synonyms.meant(key)
    if meant == synonyms.NEGATIVE:
        cure = "write negative_prompt below parameters:, for a model that has it; else say in the prompt what is there"
        return f"{name} is unknown", cure
    if meant is not None:
        return f"{name} is unknown", _key_for(meant, own)
    if key in other.model_fields and spec is not LimitsSpec:
        where = "a prompt entry" if other is PromptSpec else "the top of the file"
        return f"{name} is unknown here", f"{key} belongs to {where}"
    if around[:1] == ["prompts"] and " " in key:
        return f"{name} is unknown", 'a prompt that holds ": " must stand in quotes'
    likely = nearest(key, own)
    return f"{name} is unknown", f"did you mean {likely}?" if likely else f"the keys here are {', '.join(own)}"


def _key_for(meant: str, own: list[str]) -> str:
    """The cure for a key that another word was written for."""
    key = "aspect_ratios" if meant == synonyms.SIZE else meant
    return f"did you mean {key}?" if key in own else f"did you mean {key}? It belongs to a prompt entry"


def _figure(value: Any) -> str:
    """A number, as people write it: a span of two hours is 7200 seconds, not 7200.0."""
    return f"{value:.12g}" if isinstance(value, float) else shown(value)


def _wrong(found: Any, source: WrittenAt) -> tuple[str, str]:
    name, context, value = source.name(*found["loc"]) or "the file", found.get("ctx", {}), found["input"]
    match found["type"]:
        case "mistake":
            return f"{name} {found['msg']}", context["cure"]
        case "missing":
            return f"{name} is missing", f"add {name}:"
        case "too_short":
            return f"{name} is empty", "write at least one"
        case "greater_than_equal" | "greater_than":
            least = context.get("ge", context.get("gt"))
            return f"{name} is {_figure(value)}", f"write {'more than ' if 'gt' in context else 'at least '}{least:g}"
        case "less_than_equal":
            return f"{name} is {_figure(value)}", f"write at most {_figure(context['le'])}"
        case "literal_error":
            return f"{name} is {shown(value)}", f"write {context['expected']}"
        case kind:
            is_what = "is empty" if value is None else f"is {shown(value)}"
            return f"{name} {is_what}", _CONTAINERS.get(kind, found["msg"])
