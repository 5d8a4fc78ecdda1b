"""What an entry says, against its model: the model itself, the parameters, the ratios, the seeds and the count."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline import models
from pipeline.jobfile import complaints, items, rows
from pipeline.jobfile.entries import SIZES, Entry, Said
from pipeline.jobfile.mistakes import Mistakes, Source
from pipeline.jobfile.scalars import shown
from pipeline.models.rules import nearest

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
class Level:
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
    own: Said
    source: Source
    below: Source
    any_model: bool
    columns: tuple[str, ...] = ()

    def where(self, key: str) -> Source:
        """Who answers for a key: the level below, where it said it for a model of its own; else this one."""
        return self.source if getattr(self.own, key) or self.own.model else self.below


def check(level: Level, mistakes: Mistakes) -> None:
    """Note everything about an entry that its model does not allow."""
    name = level.entry.said.model or ""
    if not level.entry.model.known and not level.any_model:
        near = models.nearest(name)
        cure = f"did you mean {' or '.join(near)}?" if near else f"for example {models.ids()[0]}"
        source = level.where("model")
        mistakes.add(source.place("model"), f"{source.name('model')} {shown(name)} is not known", cure)
    _parameters(level, mistakes)
    _ratios(level, mistakes)
    _seeds(level, mistakes)


def _parameters(level: Level, mistakes: Mistakes) -> None:
    parameters, model = level.entry.said.parameters, level.entry.model
    found: list[tuple[str, str, str]] = []
    rest: dict[str, Any] = {}
    for key, value in parameters.items():
        if key in _OWN_KEYS:
            found.append((key, f"{key} is no further parameter", f"use the key {_OWN_KEYS[key]} of the prompt entry"))
        elif key not in model.parameters and complaints.looks_secret(key):
            found.append((key, *complaints.secret(key)))
        else:
            rest[key] = value
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


def _ratios(level: Level, mistakes: Mistakes) -> None:
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


def _seeds(level: Level, mistakes: Mistakes) -> None:
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


def _once(values: Sequence[object], key: str, source: Source, mistakes: Mistakes) -> None:
    seen: set[object] = set()
    for index, value in enumerate(values):
        if value in seen:
            message = f"{source.name(key, index)} is {value} a second time"
            mistakes.add(source.place(key, index), message, "keep one of the two")
        seen.add(value)


def include(file: str, folder: Path, source: Source, mistakes: Mistakes) -> Path | None:
    """The included file's path, or None where it may not be included: it must lie inside the job's folder."""
    place, name = source.place("file"), source.name("file")
    if PurePosixPath(file).suffix.lower() not in rows.SUFFIXES:
        mistakes.add(place, f"{name} is {shown(file)}", f"name a file that ends in {', '.join(rows.SUFFIXES)}")
        return None
    try:
        root, path = folder.resolve(), (folder / file).resolve()
        inside = path.is_relative_to(root) and not Path(file).is_absolute() and ".." not in Path(file).parts
    except (OSError, ValueError, RuntimeError):
        mistakes.add(place, f"{name} is {shown(file)}, which can't be followed", "name a plain file")
        return None
    if not inside:
        message = f"{name} is {shown(file)}, outside the job's folder"
        mistakes.add(place, message, "put the file into the job's folder and write its path from there")
        return None
    return path


def variables(level: Level, mistakes: Mistakes) -> bool:
    """Whether every variable of the prompt has a value; a missing one is noted."""
    said = level.entry.said
    missing = [name for name in said.prompt.names if name not in said.variables] if said.prompt else []
    source, names = level.where("prompt"), [*said.variables, *level.columns]
    for name in missing:
        likely = nearest(name, names)
        have = f"the variables are {', '.join(names)}" if names else "there are no variables"
        cure = f"did you mean {{{likely}}}?" if likely else f"{have}; write {{{{{name}}}}} for the braces themselves"
        mistakes.add(source.place("prompt"), f"{source.name('prompt')} has {{{name}}}, which has no value", cure)
    return not missing


def unused(names: Iterator[str], source: Source, mistakes: Mistakes) -> None:
    """Note variables that no prompt uses."""
    for name in names:
        cure = f"write {{{name}}} where its value belongs, or remove it"
        mistakes.add(
            source.key_place("variables", name), f"{source.name('variables', name)} is used by no prompt", cure
        )
