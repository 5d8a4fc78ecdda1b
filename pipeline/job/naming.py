"""The names of items, safe as file names everywhere: ASCII, short, and the same when the job is reordered."""

import hashlib
import itertools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

LONGEST_ID = 80
"""Characters of an id that a user gives."""

LONGEST = 112
"""Characters of an item's id; `-1000` for the last image of the largest count still leaves it under 120 bytes."""

_OTHERS = re.compile(r"[^a-z0-9]+")
_SLUG = 48
_VALUE_SLUG = 24
_DIGEST = 12
_HASH = 8
_MOST_COMPARED = 10_000
_SPACED = re.compile(r"[a-z0-9]+(?:[\s_.,:;/'’-]+[a-z0-9]+)*")
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


def of_text(text: str) -> str:
    """A text as an id: itself where it can name a file, else its slug.

    Where the slug leaves out more than case, spaces and the signs that part words (`C++`, `猫 2024`, a text too long),
    a hash follows, so that the ids of two texts differ wherever the texts do in more than that.
    """
    text = text.strip()
    if id_problem(text) is None:
        return text
    short = slug(text, LONGEST_ID)
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    if _SPACED.fullmatch(plain) and len(plain) <= LONGEST_ID and id_problem(short) is None:
        return short
    return "-".join(filter(None, (short[: LONGEST_ID - _HASH - 1].strip("-"), _hash(text))))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]


class Words:
    """The words that tell the items of an entry apart: one for each of the values that an item has.

    A value's word is its slug. Values of one variable that would have the same word (`C`, `C++`) have a hash after it,
    each of them, and a value without a slug has the hash alone: so a name depends on which values there are, and not
    on their order. The same holds for several variables whose words together read the same: `a-b` with `c`, and `a`
    with `b-c`.
    """

    def __init__(self, variables: Sequence[Sequence[str]]) -> None:
        self._words = [_words(values) for values in variables]
        self._alike: set[str] = set()
        if len(variables) > 1 and math.prod(map(len, self._words)) <= _MOST_COMPARED:
            joined = Counter("-".join(words) for words in itertools.product(*(each.values() for each in self._words)))
            self._alike = {name for name, times in joined.items() if times > 1}

    def of(self, values: Sequence[str]) -> list[str]:
        """The words of these values, one of each variable."""
        words = [each[value] for each, value in zip(self._words, values, strict=True)]
        if self._alike and "-".join(words) in self._alike:
            words.append(_hash("\n".join(values)))
        return words


def _words(values: Sequence[str]) -> dict[str, str]:
    slugs = {value: slug(value, _VALUE_SLUG) for value in values}
    times = Counter(slugs.values())
    return {
        value: found if found and times[found] == 1 else "-".join(filter(None, (found, _hash(value))))
        for value, found in slugs.items()
    }


def composed(given: str, words: list[str], aspect_ratio: str | None, seed: int | None, key: str) -> str:
    """The id of one of several items of an entry with an id: `hero-raccoon-16x9-s7`.

    Args:
        given: The entry's id.
        words: What stands for the values of the variables that have several.
        aspect_ratio: The ratio, where the entry makes several.
        seed: The seed, where the entry has seeds.
        key: The item's key.
    """
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
