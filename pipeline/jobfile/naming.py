"""The names of items, safe as file names everywhere: ASCII, short, and the same when the job is reordered."""

import hashlib
import re
import unicodedata

LONGEST_ID = 80
"""Characters of an id that a user gives."""

LONGEST = 112
"""Characters of an item's id; `-1000` for the last image of the largest count still leaves it under 120 bytes."""

_OTHERS = re.compile(r"[^a-z0-9]+")
_SLUG = 48
_VALUE_SLUG = 24
_DIGEST = 12
_RESERVED = re.compile(r"con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9]")


def id_problem(text: str) -> tuple[str, str] | None:
    """What is wrong with an id as a file name, and the cure; or None."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        return "can't name a file", "write letters, digits, dots, _ and -, beginning with a letter or digit"
    if len(text) > LONGEST_ID:
        return f"has {len(text)} characters", f"shorten it to {LONGEST_ID}"
    if text.endswith("."):
        return "ends with a dot", "remove the dot: Windows has no such file names"
    first = text.partition(".")[0]
    if _RESERVED.fullmatch(first.casefold()):
        return "is a reserved name on Windows", f"write for example {first}-1"
    return None


def slug(text: str, longest: int = _SLUG) -> str:
    """The letters and digits of a text in lower-case ASCII, joined by `-`; empty where it has none."""
    text = text.casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return _OTHERS.sub("-", text).strip("-")[:longest].strip("-")


def shape(aspect_ratio: str) -> str:
    """A ratio as a part of a name: `16x9`."""
    return aspect_ratio.replace(":", "x")


def automatic(prompt: str, aspect_ratio: str | None, key: str, prefix: str | None = None) -> str:
    """The id of an item that the user gave none: `racoon-eating-ice-cream-1x1-3fa9c2d10b7e`.

    Twelve digits of the key keep a hundred thousand prompts with the same beginning apart.
    """
    parts = (prefix, slug(prompt) or "image", shape(aspect_ratio) if aspect_ratio else None, key[:_DIGEST])
    return bounded("-".join(filter(None, parts)), key)


def composed(given: str, values: list[str], aspect_ratio: str | None, seed: int | None, key: str) -> str:
    """The id of one of several items of an entry with an id: `hero-raccoon-16x9-s7`.

    Args:
        given: The entry's id.
        values: The values of the variables that have several.
        aspect_ratio: The ratio, where the entry makes several.
        seed: The seed, where the entry has seeds.
        key: The item's key.
    """
    words = [slug(value, _VALUE_SLUG) or hashlib.sha256(value.encode()).hexdigest()[:8] for value in values]
    parts = [given, *words]
    if aspect_ratio is not None:
        parts.append(shape(aspect_ratio))
    if seed is not None:
        parts.append(f"s{seed}")
    return bounded("-".join(parts), key)


def bounded(name: str, key: str) -> str:
    """The name, or where it is too long its beginning and a part of the key."""
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - _DIGEST - 1].rstrip('-._')}-{key[:_DIGEST]}"
