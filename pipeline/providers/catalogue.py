"""The models the API documents, read from `models.json`.

Facts only: for each id what its parameters accept (from the vendor's published OpenAPI documents, 2026-08), the list
price in credits per image where the public list names the model, and the pixels documented for a ratio.
"""

import json
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any

from pipeline.providers import ratios
from pipeline.providers.image_model import Model


@cache
def find(model_id: str) -> Model | None:
    """The model with this id, or None."""
    facts = _facts().get(model_id)
    if facts is None:
        return None
    return Model(
        id=model_id,
        parameters=facts["parameters"],
        required=tuple(facts["required"]),
        price=facts.get("price"),
        sizes={ratio: (width, height) for ratio, (width, height) in facts.get("sizes", {}).items()},
        options=ratios.options(facts["parameters"]),
    )


@cache
def unknown(model_id: str) -> Model:
    """A model that only some other server knows: nothing is checked, and each request asks for one image."""
    return Model(id=model_id, known=False)


def of(model_id: str) -> Model:
    """The model with this id, known or not."""
    return find(model_id) or unknown(model_id)


@cache
def dearest() -> int:
    """Credits per image of the model with the highest list price: what an unknown price is taken for, to be safe."""
    return max(int(facts.get("price") or 0) for facts in _facts().values())


def ids() -> tuple[str, ...]:
    """The ids of all models, in order."""
    return tuple(_facts())


def nearest(model_id: str, n: int = 3) -> list[str]:
    """The ids that a misspelt or shortened id most likely meant, the likeliest first."""
    text, known = model_id.casefold(), {name.casefold(): name for name in _facts()}
    holding = [name for name in known if text.strip() and text.strip() in name]
    alike = get_close_matches(text, known, n=n, cutoff=0.5)
    return [known[name] for name in dict.fromkeys(holding + alike)][:n]


@cache
def _facts() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("models.json").read_bytes()
    facts: dict[str, Any] = json.loads(text)
    return facts
