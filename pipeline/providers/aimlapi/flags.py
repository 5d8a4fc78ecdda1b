"""What a paid answer says against its own pictures: that one is black for its content, or must not be used."""

from collections.abc import Mapping, Sequence
from typing import Any

_FLAGS = (
    *("has_nsfw_concepts", "has_nsfw_concept", "nsfw_content_detected", "nsfw_detected", "nsfw", "is_nsfw", "isNsfw"),
    *("NSFWContent", "content_violation", "contentViolation", "content_filtered", "flagged", "moderated", "blocked"),
)
_REASONS = ("finishReason", "finish_reason", "raiFilteredReason", "blockReason")
_BAD_REASONS = frozenset(
    {"content_filtered", "content_filter", "safety", "image_safety", "prohibited_content", "image_prohibited_content"}
)
_FALSE = frozenset({"", "0", "false", "no", "none", "null"})


def flag_of(entry: Mapping[str, Any]) -> str | None:
    """The word that an entry has against its picture, None where it has nothing."""
    for name in _FLAGS:
        if _is_set(entry.get(name)):
            return name
    for name in _REASONS:
        reason = entry.get(name)
        if isinstance(reason, str) and (reason.lower() in _BAD_REASONS or (name == "raiFilteredReason" and reason)):
            return f"{name} {reason[:60]}"
    return _filtered(entry.get("content_filter_results"))


def flags_of_all(root: Mapping[str, Any], number: int) -> tuple[str | None, ...]:
    """The flags that an answer has beside its pictures: one for all, or a list with one for each."""
    found: list[str | None] = [None] * number
    meta = root.get("meta")
    for holder in (root, meta if isinstance(meta, dict) else {}):
        for name in _FLAGS:
            for position, flag in enumerate(_each(holder.get(name), number)):
                if found[position] is None and _is_set(flag):
                    found[position] = name
    return tuple(found)


def _each(value: Any, number: int) -> Sequence[Any]:
    """What stands for each picture: in a list, by its number as text, or once for all."""
    if isinstance(value, list):
        return value[:number]
    if isinstance(value, dict):
        return [value.get(str(position)) for position in range(number)]
    return [value] * number


def _filtered(results: Any) -> str | None:
    """Azure's: {"hate": {"filtered": true, …}, …}."""
    if not isinstance(results, dict):
        return None
    kinds = (kind for kind, result in results.items() if isinstance(result, dict) and result.get("filtered") is True)
    return next((f"content_filter_results {str(kind)[:40]}" for kind in kinds), None)


def _is_set(value: Any) -> bool:
    if isinstance(value, int | float):
        # What lies between is a likelihood, and no verdict.
        return value == 1
    if isinstance(value, str):
        return value.strip().lower() not in _FALSE
    # [true] in one entry is about the one picture in it.
    return isinstance(value, list) and any(_is_set(one) for one in value[:10])
