"""The items that an entry makes, in the job's order, one at a time."""

import itertools
from collections.abc import Iterator

from pipeline.jobfile import keys, naming
from pipeline.jobfile.entries import Entry
from pipeline.model import Item
from pipeline.models import Model


def number_of(entry: Entry) -> int:
    """How many items an entry makes."""
    said = entry.said
    total = len(said.aspect_ratios or (None,)) * len(_seeds(entry))
    for name in said.prompt.names if said.prompt else ():
        total *= len(said.variables[name])
    return total


def of_entry(entry: Entry, *, sandbox: bool) -> Iterator[Item]:
    """One item for each combination of the variables that the prompt uses, each ratio and each seed.

    Seeds make one image each; a count above their number adds an item without a seed for the rest.
    """
    said, model = entry.said, entry.model
    assert said.prompt is not None
    names = said.prompt.names
    shaping = model.shaping(said.parameters)
    ratios, seeds = _ratios(entry), _seeds(entry)
    for values in itertools.product(*(said.variables[name] for name in names)):
        prompt = said.prompt.render(dict(zip(names, values, strict=True))).strip()
        several = [value for name, value in zip(names, values, strict=True) if len(said.variables[name]) > 1]
        for ratio, (seed, count) in itertools.product(ratios, seeds):
            key = keys.key_of(model, prompt, ratio, seed, shaping, sandbox=sandbox)
            if said.id is None:
                name = naming.automatic(prompt, ratio, key, entry.prefix)
            else:
                name = naming.composed(said.id, several, ratio if len(ratios) > 1 else None, seed, key)
            yield Item(
                key=key,
                id=name,
                prompt=prompt,
                model=model.id,
                aspect_ratio=ratio,
                seed=seed,
                parameters=said.parameters,
                count=count,
                sandbox=sandbox,
                place=entry.place,
            )


def offered(model: Model, ratio: str) -> str | None:
    """The model's own spelling of a ratio (`1920:1080` is its `16:9`), or None where it has none."""
    if not model.known or ratio in model.options:
        return ratio
    wanted = _quotient(ratio)
    return next((own for own in model.options if wanted is not None and _quotient(own) == wanted), None)


def _ratios(entry: Entry) -> tuple[str | None, ...]:
    asked = entry.said.aspect_ratios or ()
    return tuple(offered(entry.model, ratio) or ratio for ratio in asked) or (None,)


def _seeds(entry: Entry) -> list[tuple[int | None, int]]:
    """Each seed and how many images of it; None for those without a seed."""
    seeds: list[tuple[int | None, int]] = [(seed, 1) for seed in entry.said.seeds or ()]
    rest = entry.count - len(seeds)
    return [*seeds, (None, rest)] if rest > 0 else seeds


def _quotient(ratio: str) -> float | None:
    width, _, height = ratio.partition(":")
    return round(float(width) / float(height), 6) if height else None
