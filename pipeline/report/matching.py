"""What a pattern of `--only` that matches nothing may have meant."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from pipeline.text import plural

_WILDCARD = re.compile(r"[*?\[]")

_SUFFIX = re.compile(r"\.(png|jpe?g|webp)$", re.IGNORECASE)

_ALIKE = 0.6
"""How alike two texts must be, by `difflib`'s ratio, to be taken for the same one misspelt."""


def matches(ids: Sequence[str], pattern: str) -> list[str]:
    """The ids that a pattern selects."""
    return [name for name in ids if fnmatchcase(name, pattern)]


def suggestion(pattern: str, counts: Mapping[str, int]) -> str:
    """A hint for a pattern that selects none of the job's ids; empty where nothing is near.

    `counts`: of each id, how many images its item has.

    Five cases, the likeliest first: 1 the name of a file, of which only the item's id is taken; 2 another case; 3 the
    beginning of ids; 4 a part of ids; 5 a misspelling. No hint ever selects everything there is, unless that is one
    item.
    """
    ids = list(counts)
    if owner := _owner(pattern, counts):
        return f"that is the name of a file; --only takes ids: did you mean {shlex.quote(owner)}?"
    for near in (*_other_case(pattern, ids), *_longer(pattern, ids), *_misspelt(pattern, ids)):
        found = matches(ids, near)
        if found and (len(found) < len(ids) or near in ids):
            count = "" if near in ids else f" ({plural(len(found), 'item')})"
            return f"did you mean {shlex.quote(near)}{count}?"
    return ""


def _owner(pattern: str, counts: Mapping[str, int]) -> str | None:
    """The id of the item that one of whose files is called so."""
    stem = _SUFFIX.sub("", pattern)
    first, _, number = stem.rpartition("-")
    if number.isascii() and number.isdigit() and 2 <= int(number[:9]) <= counts.get(first, 0):
        return first
    return stem if stem in counts else None


def _other_case(pattern: str, ids: Sequence[str]) -> Iterator[str]:
    lowered = pattern.casefold()
    alike = [name for name in ids if fnmatchcase(name.casefold(), lowered)]
    if not alike:
        return
    if not _WILDCARD.search(pattern):
        yield alike[0]
    head, rest = _split(pattern)
    # The letters before the first wildcard as the ids have them, and what follows in the case that fits.
    for tail in (rest, rest.upper(), rest.lower()):
        yield alike[0][: len(head)] + tail
    yield alike[0]


def _longer(pattern: str, ids: Sequence[str]) -> Iterator[str]:
    """Patterns for ids that begin with this text, in any case, or hold it."""
    text = pattern.strip("*")
    if not text or _WILDCARD.search(text):
        return
    begun = [name for name in ids if name.casefold().startswith(text.casefold())]
    if begun:
        after = {name[len(text) :][:1] for name in begun}
        mark = after.pop() if len(after) == 1 else ""
        yield f"{begun[0][: len(text)]}{'' if mark.isalnum() else mark}*"
        yield begun[0]
    holding = [name for name in ids if text.casefold() in name.casefold()]
    if holding:
        start = holding[0].casefold().index(text.casefold())
        yield f"*{holding[0][start : start + len(text)]}*"
        yield holding[0]


def _misspelt(pattern: str, ids: Sequence[str]) -> Iterator[str]:
    head, rest = _split(pattern)
    if rest:
        begins = sorted({name[: len(head)] for name in ids})
        yield from (f"{near}{rest}" for near in get_close_matches(head, begins, 1, _ALIKE))
    yield from get_close_matches(pattern, ids, 1, _ALIKE)
    # The beginning of an id, misspelt.
    begins = sorted({name[: len(pattern)] for name in ids})
    for near in get_close_matches(pattern, begins, 1, _ALIKE):
        yield from _longer(near, ids)


def _split(pattern: str) -> tuple[str, str]:
    """A pattern before and from its first wildcard on."""
    found = _WILDCARD.search(pattern)
    return (pattern, "") if found is None else (pattern[: found.start()], pattern[found.start() :])
