"""An item's key: a hash of everything that shapes the picture, and of nothing else.

It is the SHA-256 of one line of JSON, its keys in order, without white space and in ASCII:

    {"aspect_ratio", "model", "parameters", "prompt", "sandbox", "seed", "v": 1}

- `aspect_ratio` is the one that takes effect: where the job names none, the model's documented default.
- `parameters` are those of `Model.shaping`: writing a default or not makes no difference, nor does how the picture
  travels.
- `sandbox` keeps placeholders and paid pictures apart. Which other server makes a picture does not count.

The count, the id, the place in the file, the limits, the output folder and the endpoint are not in it: changing them
buys nothing again.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any

from pipeline.providers.image_model import Model

VERSION = 1
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def key_of(
    model: Model, prompt: str, aspect_ratio: str | None, seed: int | None, shaping: Mapping[str, Any], *, sandbox: bool
) -> str:
    """The key of an item, as a hex digest; `shaping` is `Model.shaping` of its parameters."""
    if aspect_ratio is None and model.sized(shaping) is None:
        aspect_ratio = model.default_ratio
    before = _before(aspect_ratio, model.id, _ENCODER.encode(shaping) if shaping else "{}")
    line = f"{before}{encode_basestring_ascii(prompt)}{_after(sandbox, seed)}"
    return hashlib.sha256(line.encode("ascii")).hexdigest()


@lru_cache(maxsize=256)
def _before(aspect_ratio: str | None, model: str, parameters: str) -> str:
    """The line up to the prompt: the same for most items of a job."""
    head = _ENCODER.encode({"aspect_ratio": aspect_ratio, "model": model})
    return f'{head[:-1]},"parameters":{parameters},"prompt":'


@lru_cache(maxsize=256)
def _after(sandbox: bool, seed: int | None) -> str:
    """The line from the prompt on."""
    return f",{_ENCODER.encode({'sandbox': sandbox, 'seed': seed, 'v': VERSION})[1:]}"
