"""The items that an entry makes, in the job's order, one at a time."""

import itertools
from collections.abc import Iterator, Mapping
from functools import lru_cache

from pipeline.job import keys, naming
from pipeline.job.entries import Entry, EntryValues
from pipeline.job.template import Template
from pipeline.model import Item
from pipeline.providers import catalogue
from pipeline.providers.image_model import Model


def number_of(entry: Entry) -> int:
    """How many items an entry makes."""
    said = entry.said
    total = len(_grid(said.model or "", said.aspect_ratios, said.seeds, said.count))
    for name in said.names:
        total *= len(said.variables[name])
    return total


def of_entry(entry: Entry, *, sandbox: bool) -> Iterator[Item]:
    """One item for each combination of the variables that the prompt uses, each ratio and each seed.

    Seeds make one image each; a count above their number adds an item without a seed for the rest.
    """
    said, model = entry.said, entry.model
    shaping = model.shaping(said.parameters) if said.parameters else {}
    grid = _grid(model.id, said.aspect_ratios, said.seeds, said.count)
    for prompt, given, words in _prompts(said):
        for ratio, seed, count, alone in grid:
            key = keys.key_of(model, prompt, ratio, seed, shaping, sandbox=sandbox)
            if given is None:
                name = naming.automatic(prompt, ratio, key, entry.prefix)
            else:
                name = naming.composed(given, words, None if alone else ratio, seed, key)
            yield Item(key, name, prompt, model.id, ratio, seed, said.parameters, count, sandbox, entry.place)


def _prompts(said: EntryValues) -> Iterator[tuple[str, str | None, list[str]]]:
    """Each prompt, the id for it, and the words for the values in it of the variables that have several."""
    assert said.prompt is not None
    names, own = said.names, said.id
    if not names:
        yield said.prompt.render({}).strip(), _rendered(own, {}), []
        return
    told = own.names if isinstance(own, Template) else ()
    varied = [name for name in names if len(said.variables[name]) > 1 and name not in told] if own is not None else []
    words = naming.Words([said.variables[name] for name in varied]) if varied else None
    for values in itertools.product(*(said.variables[name] for name in names)):
        given = dict(zip(names, values, strict=True))
        several = words.of([given[name] for name in varied]) if words else []
        yield said.prompt.render(given).strip(), _rendered(own, given), several


def _rendered(own: str | Template | None, given: Mapping[str, str]) -> str | None:
    return naming.of_text(own.render(given)) if isinstance(own, Template) else own


def offered(model: Model, ratio: str) -> str | None:
    """The model's own spelling of a ratio (`1920:1080` is its `16:9`), or None where it has none."""
    if not model.known or ratio in model.options:
        return ratio
    wanted = _quotient(ratio)
    return next((own for own in model.options if wanted is not None and _quotient(own) == wanted), None)


@lru_cache(maxsize=256)
def _grid(
    model_id: str, asked: tuple[str, ...] | None, seeds: tuple[int, ...] | None, count: int | None
) -> tuple[tuple[str | None, int | None, int, bool], ...]:
    """What is made of each prompt: ratio, seed, number of images, and whether that ratio is the only one.

    The same for all rows of a file, or nearly so.
    """
    model = catalogue.of(model_id)
    ratios = tuple(offered(model, ratio) or ratio for ratio in asked or ()) or (None,)
    seeded: list[tuple[int | None, int]] = [(seed, 1) for seed in seeds or ()]
    rest = (count or len(seeded) or 1) - len(seeded)
    if rest > 0:
        seeded.append((None, rest))
    return tuple((ratio, seed, n, len(ratios) == 1) for ratio, (seed, n) in itertools.product(ratios, seeded))


def _quotient(ratio: str) -> float | None:
    width, _, height = ratio.partition(":")
    return round(float(width) / float(height), 6) if height else None
