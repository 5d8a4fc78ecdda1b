"""What people write for the keys of an entry: in other case, other spelling, or by the names that other tools use."""

import re
from difflib import get_close_matches

NEGATIVE, SIZE = "negative_prompt", "size"
"""What has no key of an entry: a negative prompt, and a size in pixels."""

_MEANINGS = {
    "id": "id",
    "prompt": "prompt textprompt imageprompt",
    "model": "model",
    "parameters": "parameter param",
    "aspect_ratios": "aspectratio ratio imageratio imageaspectratio",
    "count": "count n numimage numberofimage nimage imagecount numoutput numsample",
    "seeds": "seed randomseed rngseed",
    NEGATIVE: "negativeprompt negative negprompt",
    SIZE: "size imagesize resolution",
}
_BY_WORD = {word: key for key, words in _MEANINGS.items() for word in words.split()}

_LONG = [word for word in _BY_WORD if len(word) >= 6]
"""Words that are long enough to be known by their look: `promt` is prompt, while `mode` need not be model."""


def folded(name: str) -> str:
    """A name without case, signs and plural: `Aspect Ratios`, `aspectRatio` and `aspect-ratio` are one."""
    plain = re.sub(r"[\W_]+", "", name.casefold())
    return plain.removesuffix("s") or plain


def meant(name: str) -> str | None:
    """The key of an entry, `NEGATIVE` or `SIZE` that a name most likely stands for; None where it stands for none."""
    word = folded(name)
    if word not in _BY_WORD and len(word) >= 5:
        word = next(iter(get_close_matches(word, _LONG, n=1, cutoff=0.85)), word)
    return _BY_WORD.get(word)
