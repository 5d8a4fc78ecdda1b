"""Columns of an included file that look as if they said something, and that the program would pass over."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipeline.job import synonyms
from pipeline.job.diagnostics.diagnostic import Diagnostics
from pipeline.job.rows.row import Row
from pipeline.job.yaml.scalars import Scalar
from pipeline.model import Place
from pipeline.providers.image_model import Model

KEYS = {name: name for name in ("id", "prompt", "model", "parameters", "aspect_ratios", "count", "seeds")} | {
    "aspect_ratio": "aspect_ratios",
    "seed": "seeds",
}
"""The columns that are no variables but keys of the entry."""

_SINGULAR = {"aspect_ratios": "aspect_ratio", "seeds": "seed"}
_PIXELS = re.compile(r"\s*\d{2,5}\s*[x×*]\s*\d{2,5}\s*", re.IGNORECASE)
_MOST_SHAPES = 1000


@dataclass(slots=True)
class Columns:
    """The columns of one file, as its rows go by.

    Attributes:
        found: Each column that is not a key: where it was seen first, and a value of it.
    """

    found: dict[str, tuple[Place, Any]] = field(default_factory=dict)
    _shapes: set[tuple[str, ...]] = field(default_factory=set)

    def see(self, row: Row, names: tuple[str, ...]) -> None:
        """Remember the columns of a row; the rows of a table all have the same ones."""
        if names in self._shapes or row.text:
            return
        if len(self._shapes) < _MOST_SHAPES:
            self._shapes.add(names)
        for name in names:
            if name not in self.found and name not in KEYS:
                self.found[name] = (Place(row.file, row.header or row.line), row.cells[name])

    def unused(self, used: Iterable[str], model: Model, mistakes: Diagnostics) -> tuple[str, ...]:
        """The columns that nothing uses; those that seem to say something are mistakes instead."""
        names = [name for name in self.found if name not in used]
        return tuple(name for name in names if not self._complained(name, model, mistakes))

    def _complained(self, name: str, model: Model, mistakes: Diagnostics) -> bool:
        place, value = self.found[name]
        told = complaint(name, value, model)
        if told:
            mistakes.add(place, *told)
        return told is not None


def complaint(column: str, value: Any, model: Model) -> tuple[str, str] | None:
    """What to say of a column that no prompt uses: what was found, and the cure. None where it may be what it likes.

    Args:
        column: Its name.
        value: A value of it.
        model: The model of the file's rows.
    """
    found, key = f"column {column} is not read", synonyms.meant(column)
    away = "; if it means something else, rename it or remove it"
    parameter = _parameter(column, model)
    if parameter and key in (None, synonyms.NEGATIVE, synonyms.SIZE):
        cure = f"{parameter} is a parameter of {model.id}: write it under parameters: of the entry"
        return found, f'{cure}, or in a .jsonl in "parameters" of a row{away}'
    if key == synonyms.NEGATIVE:
        return found, f"{model.id} takes no negative prompt: say in the prompt what the picture shows{away}"
    if key == synonyms.SIZE:
        written = value.text if isinstance(value, Scalar) else value
        pixels = isinstance(written, str) and _PIXELS.fullmatch(written)
        return (found, f"the shape is asked for in a column aspect_ratio, such as 16:9{away}") if pixels else None
    return (found, f"name it {_SINGULAR.get(key, key)}{away}") if key else None


def _parameter(column: str, model: Model) -> str | None:
    """The parameter of the model that a column has the name of."""
    word = synonyms.folded(column)
    return next((name for name in model.further if synonyms.folded(name) == word), None)
