"""What an entry says, against its model: the model itself, the parameters, the ratios, the seeds and the count."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.job import items, synonyms
from pipeline.job.diagnostics import pydantic_errors
from pipeline.job.diagnostics.diagnostic import Diagnostics, WrittenAt
from pipeline.job.entries import SIZES, Entry, EntryValues
from pipeline.job.yaml.scalars import shown
from pipeline.providers import catalogue
from pipeline.providers.image_model import Model
from pipeline.providers.model_rules import nearest

_OWN_KEYS = {
    "prompt": "prompt",
    "model": "model",
    "aspect_ratio": "aspect_ratios",
    "seed": "seeds",
    "num_images": "count",
    "n": "count",
}
"""Parameters of a request that the job file has a key of its own for."""


@dataclass(slots=True)
class Layer:
    """What is checked: an entry or a row, over the level that it inherits from.

    Attributes:
        entry: With everything it inherits.
        own: What it says itself.
        source: Where it says that.
        below: Where the level below says what is inherited.
        any_model: Whether a model that is not in the catalogue is accepted: another server may know it.
        columns: The columns of a row.
    """

    entry: Entry
    own: EntryValues
    source: WrittenAt
    below: WrittenAt
    any_model: bool
    columns: tuple[str, ...] = ()

    def where(self, key: str) -> WrittenAt:
        """Who answers for a key: the level below, where it said it for a model of its own; else this one."""
        return self.source if getattr(self.own, key) or self.own.model else self.below


def check(level: Layer, mistakes: Diagnostics) -> None:
    """Note everything about an entry that its model does not allow."""
    name = level.entry.said.model or ""
    if not level.entry.model.known and not level.any_model:
        near = catalogue.nearest(name)
        cure = f"did you mean {' or '.join(near)}?" if near else f"for example {catalogue.ids()[0]}"
        source = level.where("model")
        mistakes.add(source.place("model"), f"{source.name('model')} {shown(name)} is not known", cure)
    _parameters(level, mistakes)
    _ratios(level, mistakes)
    _seeds(level, mistakes)


def _parameters(level: Layer, mistakes: Diagnostics) -> None:
    parameters, model = level.entry.said.parameters, level.entry.model
    found: list[tuple[str, str, str]] = []
    rest: dict[str, Any] = {}
    for key, value in parameters.items():
        if key in _OWN_KEYS:
            cure = f"write {_OWN_KEYS[key]}: in the prompt entry instead of {key}"
            found.append((key, f"{key} is no further parameter", cure))
        elif key not in model.parameters and pydantic_errors.looks_secret(key):
            found.append((key, *pydantic_errors.secret(key)))
        else:
            rest[key] = value
    found += _meant(rest, model)
    # The prompt is another matter; only what must stand beside it is missed here.
    prompt = {"prompt": ""} if "prompt" in model.parameters else {}
    for key, message, cure in [*found, *model.problems(prompt | rest)]:
        path = [int(part) if part.isdigit() else part for part in key.split(".")]
        own = path[0] in level.own.parameters or level.own.model or path[0] not in parameters
        source = level.source if own else level.below
        inherited = path[0] in parameters and path[0] not in level.own.parameters and level.own.model
        alone = f"; for this entry alone: parameters: {{{path[0]}: null}}" if inherited else ""
        where = f"{source.name('parameters')}: {message}"
        mistakes.add(source.place("parameters", *path), where, cure + alone)


def _meant(rest: dict[str, Any], model: Model) -> Iterator[tuple[str, str, str]]:
    """Parameters that a model does not have under names that tell what is meant by them; they are taken out."""
    for key in [key for key in rest if model.known and key not in model.parameters]:
        meant = synonyms.meant(key)
        if meant is None or nearest(key, model.further):
            continue
        del rest[key]
        message = f"{model.id} has no parameter {shown(key)}"
        if meant == synonyms.NEGATIVE:
            yield key, message, "say in the prompt what the picture shows, not what it lacks"
        else:
            own = "aspect_ratios" if meant == synonyms.SIZE else meant
            yield key, message, f"write {own}: in the prompt entry instead of {key}"


def _ratios(level: Layer, mistakes: Diagnostics) -> None:
    model, asked = level.entry.model, level.entry.said.aspect_ratios or ()
    source = level.where("aspect_ratios")
    sized = next((name for name in SIZES if name in level.entry.said.parameters), None)
    if asked and sized:
        message = f"{source.name('aspect_ratios')} and parameters.{sized} both say the shape"
        mistakes.add(source.place("aspect_ratios"), message, f"keep one: {sized}: null, or aspect_ratios: []")
        return
    _once(asked, "aspect_ratios", source, mistakes)
    for index, ratio in enumerate(asked):
        if items.offered(model, ratio) is None:
            if model.ratios is None:
                cure = "it takes no ratio: write aspect_ratios: [] for this entry"
            else:
                cure = f"it has {', '.join(model.ratios)}"
            message = f"{source.name('aspect_ratios', index)} is {ratio}, which {model.id} lacks"
            mistakes.add(source.place("aspect_ratios", index), message, cure)


def _seeds(level: Layer, mistakes: Diagnostics) -> None:
    model, seeds, count = level.entry.model, level.entry.said.seeds or (), level.entry.said.count
    source = level.where("seeds")
    if seeds and model.seed_range is None:
        message = f"{source.name('seeds')} names seeds, and {model.id} takes none"
        mistakes.add(source.place("seeds"), message, "write count instead")
        return
    least, most = model.seed_range or (0, 0)
    _once(seeds, "seeds", source, mistakes)
    for index, seed in enumerate(seeds):
        if not least <= seed <= most:
            message = f"{source.name('seeds', index)} is {seed}, out of the range of {model.id}"
            mistakes.add(source.place("seeds", index), message, f"write {least} to {most}")
    if count is not None and count < len(seeds):
        where = level.where("count")
        message = f"{where.name('count')} is {count}, and there are {len(seeds)} seeds, each an image"
        mistakes.add(where.place("count"), message, f"write count: {len(seeds)} or more, or name fewer seeds")


def _once(values: Sequence[object], key: str, source: WrittenAt, mistakes: Diagnostics) -> None:
    seen: set[object] = set()
    for index, value in enumerate(values):
        if value in seen:
            message = f"{source.name(key, index)} is {value} a second time"
            mistakes.add(source.place(key, index), message, "keep one of the two")
        seen.add(value)


def variables(level: Layer, mistakes: Diagnostics) -> bool:
    """Whether every variable of the prompt and of the id has a value; a missing one is noted."""
    said, sound = level.entry.said, True
    source, names = level.where("prompt"), [*said.variables, *level.columns]
    for name in said.names:
        in_prompt = said.prompt is not None and name in said.prompt.names
        if name not in said.variables:
            sound = False
            likely = nearest(name, names)
            have = f"the variables are {', '.join(names)}" if names else "there are no variables"
            cure = (
                f"did you mean {{{likely}}}?" if likely else f"{have}; write {{{{{name}}}}} for the braces themselves"
            )
            where, key = (source, "prompt") if in_prompt else (level.where("id"), "id")
            mistakes.add(where.place(key), f"{where.name(key)} has {{{name}}}, which has no value", cure)
        elif not in_prompt and len(said.variables[name]) > 1:
            sound = False
            where = level.where("id")
            message = f"{where.name('id')} has {{{name}}}, which has several values and is not in the prompt"
            mistakes.add(where.place("id"), message, f"write {{{name}}} into the prompt, too, or give it one value")
    return sound


def unused(names: Iterator[str], source: WrittenAt, mistakes: Diagnostics) -> None:
    """Note variables that no prompt uses."""
    for name in names:
        cure = f"write {{{name}}} where its value belongs, or remove it"
        mistakes.add(
            source.key_place("variables", name), f"{source.name('variables', name)} is used by no prompt", cure
        )
