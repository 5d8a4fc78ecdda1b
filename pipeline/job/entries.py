"""Prompt entries: what the job, an entry and a row of an included file say, each over the one before."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.job import synonyms, template
from pipeline.job.diagnostics import pydantic_errors
from pipeline.job.diagnostics.diagnostic import Diagnostics, WrittenAt
from pipeline.job.rows import list_rows
from pipeline.job.rows.columns import KEYS
from pipeline.job.rows.row import Row
from pipeline.job.schema import JobSpec, PromptSpec, RowSpec
from pipeline.job.template import Template
from pipeline.job.yaml.scalars import Scalar, shown
from pipeline.model import Place
from pipeline.providers import catalogue
from pipeline.providers.image_model import Model

SIZES = ("image_size", "size")
"""Parameters by which a user says the size directly, in the model's own words."""


@dataclass(slots=True)
class EntryValues:
    """What one level of the job says; None where it says nothing. Never changed.

    Neither this nor `Entry` is frozen: that would take four times as long to make, and a long job makes millions.
    """

    id: str | Template | None = None
    prompt: Template | None = None
    model: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    aspect_ratios: tuple[str, ...] | None = None
    count: int | None = None
    seeds: tuple[int, ...] | None = None
    variables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def asks(self) -> bool:
        """Whether it says anything that the model must be held against: more than a prompt and its variables."""
        return bool(self.model or self.parameters or self.aspect_ratios or self.seeds or self.count)

    @property
    def names(self) -> tuple[str, ...]:
        """The variables that the prompt uses, and those that only the id does."""
        names = self.prompt.names if self.prompt else ()
        return tuple(dict.fromkeys((*names, *self.id.names))) if isinstance(self.id, Template) else names

    def merged_over(self, below: "EntryValues") -> "EntryValues":
        """This level over a lower one.

        Parameters and variables are merged, and a parameter set to null is taken out. A level that says the size
        itself takes no ratios from below, one that names seeds of its own takes no count, and nobody inherits an id.
        """
        parameters, ratios = below.parameters, below.aspect_ratios
        if self.parameters:
            both = {**below.parameters, **self.parameters}
            parameters = {name: value for name, value in both.items() if value is not None}
            if any(self.parameters.get(name) is not None for name in SIZES):
                ratios = ()
        return EntryValues(
            id=self.id,
            prompt=self.prompt or below.prompt,
            model=self.model or below.model,
            parameters=parameters,
            aspect_ratios=ratios if self.aspect_ratios is None else self.aspect_ratios,
            count=self.count if self.seeds is not None else self.count or below.count,
            seeds=below.seeds if self.seeds is None else self.seeds,
            variables={**below.variables, **self.variables} if self.variables else below.variables,
        )


@dataclass(slots=True)
class Entry:
    """A prompt entry with everything it inherits.

    Attributes:
        place: Where it was written.
        name: Its path as errors show it.
        said: What holds for it.
        file: The included file whose rows it stands for, or None.
        shown: That file's name as errors show it.
        prefix: What the ids of its items begin with, for a row without an id of its own.
        encoding: How the included file is written, where the job says so.
    """

    place: Place
    name: str
    said: EntryValues
    file: Path | None = None
    shown: str = ""
    prefix: str | None = None
    encoding: str | None = None

    @property
    def model(self) -> Model:
        """The model; one that checks nothing where it is not in the catalogue."""
        return catalogue.of(self.said.model or "")


_NOTHING = EntryValues()


def said_by_job(spec: JobSpec) -> EntryValues:
    """What the top of the file says for all entries."""
    return EntryValues(
        model=spec.model,
        parameters={name: value for name, value in spec.parameters.items() if value is not None},
        aspect_ratios=None if spec.aspect_ratios is None else tuple(spec.aspect_ratios),
        variables=_frozen(spec.variables),
    )


def said_by_entry(spec: RowSpec, source: WrittenAt, mistakes: Diagnostics) -> EntryValues:
    """What a prompt entry or a row says itself."""
    prompt = None
    if spec.prompt is not None:
        try:
            prompt = template.parse(spec.prompt)
        except template.BadTemplate as error:
            mistakes.add(source.place("prompt"), f"{source.name('prompt')} {error.message}", error.cure)
    return EntryValues(
        id=template.parse(spec.id) if spec.id and not {"{", "}"}.isdisjoint(spec.id) else spec.id,
        prompt=prompt,
        model=spec.model,
        parameters=spec.parameters,
        aspect_ratios=None if spec.aspect_ratios is None else tuple(spec.aspect_ratios),
        count=spec.count,
        seeds=None if spec.seeds is None else tuple(spec.seeds),
        variables=_frozen(spec.variables) if isinstance(spec, PromptSpec) else {},
    )


def of_rows(entry: Entry, mistakes: Diagnostics) -> Iterator[tuple[Entry, EntryValues, Row] | None]:
    """For each row of an entry's file the entry that it makes and what the row itself says; None for a broken one."""
    assert entry.file is not None
    ids = entry.said.id if isinstance(entry.said.id, Template) else None
    for row in list_rows.read(entry.file, entry.shown, entry.encoding, mistakes.note):
        if not isinstance(row, Row):
            if row.place.line:
                mistakes.add(row.place, row.message, row.cure)
            else:  # A file that can't be read at all is a mistake where it is named.
                mistakes.add(entry.place, f"{entry.name}.file is {entry.shown}: {row.message}", row.cure)
            yield None
        elif row.header and entry.said.prompt is None and "prompt" not in row.cells:
            mistakes.add(Place(row.file, row.header), *_no_prompt(row))
            yield None
            return
        elif (own := _said_by_row(entry, row, ids, mistakes)) is None:
            yield None
        else:
            prefix = entry.said.id if own.id is None and isinstance(entry.said.id, str) else None
            yield Entry(row.place(), entry.name, own.merged_over(entry.said), prefix=prefix), own, row


def _no_prompt(row: Row) -> tuple[str, str]:
    """What to say of a table that no column of is the prompt."""
    likely = next((column for column in row.cells if synonyms.meant(column) == "prompt"), None)
    if likely:
        return "there is no column prompt", f"name the column {likely} prompt"
    message = f"there is no column prompt; there is {', '.join(row.cells)}"
    return message, "name the column that holds the prompts prompt, or give the entry a prompt with {columns} in it"


def _said_by_row(entry: Entry, row: Row, ids: Template | None, mistakes: Diagnostics) -> EntryValues | None:
    """What a row says, or None where that can't be told."""
    own = _own(entry, row, mistakes)
    if own is None:
        return None
    prompt = own.prompt or entry.said.prompt
    if prompt is None:
        mistakes.add(row.place(), "the row has no prompt", "fill in a column prompt, or give the entry a prompt")
        return None
    if ids and own.id is None:
        own = replace(own, id=ids)
    names = prompt.names
    if isinstance(own.id, Template):
        names = tuple(dict.fromkeys((*names, *own.id.names)))
    values = _cells(names, row, mistakes)
    if values is None:
        return None
    return replace(own, variables=values) if values else own


def _own(entry: Entry, row: Row, mistakes: Diagnostics) -> EntryValues | None:
    """What the columns of a row that are keys say, or None where that can't be told."""
    if row.text:
        # A line of text is the prompt, unless the entry has one that the line is a variable of.
        given = {} if entry.said.prompt else {"prompt": row.cells["line"]}
    else:
        told = ((KEYS.get(column), value) for column, value in row.cells.items())
        given = {key: value for key, value in told if key and value is not None and value != ""}
    if not given:
        return _NOTHING
    if len(given) == 1 and isinstance(text := given.get("prompt"), str) and text.strip():
        # Nearly every row of a long file says its prompt and no more.
        try:
            return EntryValues(prompt=template.parse(text))
        except template.BadTemplate as error:
            mistakes.add(row.place("prompt"), f"{row.name('prompt')} {error.message}", error.cure)
            return None
    try:
        own = said_by_entry(RowSpec.model_validate(given), row, mistakes)
    except ValidationError as error:
        pydantic_errors.report(error, row, mistakes, RowSpec)
        return None
    return None if "prompt" in given and own.prompt is None else own


def _cells(names: tuple[str, ...], row: Row, mistakes: Diagnostics) -> dict[str, tuple[str, ...]] | None:
    """The values of the columns that the prompt or the id uses, or None where one has none."""
    values: dict[str, tuple[str, ...]] = {}
    for name in names:
        if name not in row.cells:
            continue
        cell = row.cells[name]
        texts = tuple(_cell_text(part) for part in (cell if isinstance(cell, list) else [cell]))
        if not texts or not all(texts):
            found = "is empty" if cell is None or cell in ("", []) else f"is {shown(cell)}"
            mistakes.add(row.place(), f"column {name} {found}, and the prompt or the id uses it", "fill it in")
            return None
        values[name] = tuple(text for text in texts if text is not None)
    return values


def _cell_text(cell: Any) -> str | None:
    if isinstance(cell, bool):
        return str(cell).lower()
    return cell.text if isinstance(cell, Scalar) else cell if isinstance(cell, str) else None


def _frozen(variables: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(values) for name, values in variables.items()}
