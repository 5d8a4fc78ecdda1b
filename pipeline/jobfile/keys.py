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
from typing import Any

from pipeline.models import Model

VERSION = 1
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def key_of(
    model: Model, prompt: str, aspect_ratio: str | None, seed: int | None, shaping: Mapping[str, Any], *, sandbox: bool
) -> str:
    """The key of an item, as a hex digest; `shaping` is `Model.shaping` of its parameters."""
    if aspect_ratio is None and model.sized(shaping) is None:
        aspect_ratio = model.default_ratio
    recipe = {
        "v": VERSION,
        "model": model.id,
        "prompt": prompt,
        "aspect_ratio": aspect_ratio,
        "seed": seed,
        "parameters": shaping,
        "sandbox": sandbox,
    }
    return hashlib.sha256(_ENCODER.encode(recipe).encode()).hexdigest()
