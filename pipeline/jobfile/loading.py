"""From a path to a checked job, and from a job to its items."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.jobfile import checks, complaints, entries, files, items, naming, yaml12
from pipeline.jobfile.checks import Level
from pipeline.jobfile.entries import Entry, Said
from pipeline.jobfile.mistakes import Enough, Mistakes, Source
from pipeline.jobfile.scalars import shown
from pipeline.jobfile.schema import JobSpec, PromptSpec
from pipeline.jobfile.walk import Walk
from pipeline.jobfile.yaml12 import Document
from pipeline.model import Item, Job, Limits, Place

MOST_BYTES = 10_000_000
"""Bytes a job file may have; longer lists of prompts belong into included files."""

EXTENSION = "x-"
"""Keys at the top that begin so are the user's own: a place for anchors."""


def load(
    path: Path, *, endpoint: str | None = None, output: Path | None = None, limits: Mapping[str, Any] | None = None
) -> Job:
    """Read a job file and check everything in it, down to the last row of its included files.

    Args:
        path: The job file.
        endpoint: In place of the job's own.
        output: In place of the job's own.
        limits: Single limits in place of the job's own, by the names of `Limits`; None for one leaves the job's.

    Raises:
        UsageError: Something is wrong; its `problems` are all that was found.
    """
    mistakes, job = Mistakes(), None
    single = {name: value for name, value in (limits or {}).items() if value is not None}
    options: dict[str, Any] = {"endpoint": endpoint, "output": output, "limits": single or None}
    instead = {key: value for key, value in options.items() if value is not None}
    with suppress(Enough):
        job = _load(path, instead, mistakes)
    mistakes.found(path)
    assert job is not None, "reading ends early only with a mistake"
    return job


def expand(job: Job) -> Iterator[Item]:
    """The job's items, in its order, one at a time; included files are read along the way.

    Raises:
        UsageError: An included file is no longer what it was when the job was checked.
    """
    mistakes = Mistakes()
    for item in _items(job.entries, mistakes, sandbox=job.endpoint == "sandbox"):
        mistakes.found(job.path)
        yield item
    mistakes.found(job.path)


def _items(entries_: Sequence[Entry], mistakes: Mistakes, *, sandbox: bool) -> Iterator[Item]:
    """The items of all entries whose variables have values; what is wrong with a row goes to `mistakes`."""
    for entry in entries_:
        concrete = (row[0] for row in entries.of_rows(entry, mistakes)) if entry.file else iter([entry])
        for one in concrete:
            prompt = one.said.prompt
            if prompt is not None and all(name in one.said.variables for name in prompt.names):
                yield from items.of_entry(one, sandbox=sandbox)


@dataclass(frozen=True, slots=True)
class _Overridden:
    """The job file with some values given on the command line instead: a `Source` of places."""

    document: Document
    instead: Mapping[str, Any]

    def place(self, *path: str | int) -> Place:
        return Place(option) if (option := self._option(path)) else self.document.place(*path)

    def key_place(self, *path: str | int) -> Place:
        return Place(option) if (option := self._option(path)) else self.document.key_place(*path)

    def name(self, *path: str | int) -> str:
        return self._option(path) or self.document.name(*path)

    def _option(self, path: tuple[str | int, ...]) -> str | None:
        key, *below = path or ("",)
        if key not in self.instead or (key == "limits" and (not below or below[0] not in self.instead["limits"])):
            return None
        return f"--{below[0] if key == 'limits' else key}".replace("_", "-")


def _load(path: Path, instead: Mapping[str, Any], mistakes: Mistakes) -> Job:
    document = _read(path, mistakes)
    source = _Overridden(document, instead)
    plain = {key: value for key, value in document.root.plain().items() if not key.startswith(EXTENSION)}
    own_limits = plain.get("limits")
    if "limits" in instead and isinstance(own_limits, dict | None):
        plain["limits"] = (own_limits or {}) | instead["limits"]
    plain |= {key: value for key, value in instead.items() if key != "limits"}
    spec, positions = _spec(plain, source, mistakes)
    output = _output(spec, path, source, mistakes)
    found = _entries(spec, positions, path, source, mistakes)
    return Job(
        name=_name(spec, path),
        path=path,
        endpoint=spec.endpoint,
        output=output,
        limits=Limits(**{name: value for name, value in spec.limits.model_dump().items() if value is not None}),
        entries=tuple(found),
    )


def _read(path: Path, mistakes: Mistakes) -> Document:
    """The job file's nodes, a mapping."""
    try:
        document = yaml12.read(files.text_of(path, str(path), MOST_BYTES), str(path), mistakes)
    except (files.Unreadable, yaml12.BadYaml) as error:
        mistakes.add(error.place, error.message, error.cure)
        raise Enough from None
    if not isinstance(document.root.value, dict):
        found = "a list" if isinstance(document.root.value, list) else "text"
        mistakes.add(
            document.place(), f"the file holds {found}, not the keys of a job", "write `prompts:` above the list"
        )
        raise Enough
    return document


def _spec(plain: dict[str, Any], source: Source, mistakes: Mistakes) -> tuple[JobSpec, list[int]]:
    """The job as its schema has it, and the positions of its prompts in the file.

    What the schema refuses is noted and left out, so that the rest can still be checked.
    """
    prompts = plain.get("prompts")
    positions = list(range(len(prompts))) if isinstance(prompts, list) else []
    try:
        return JobSpec.model_validate(plain), positions
    except ValidationError as error:
        complaints.report(error, source, mistakes, JobSpec)
        bad = {found["loc"][:2] for found in error.errors(include_url=False, include_input=False)}
    broken = {path[1] for path in bad if path[0] == "prompts" and len(path) > 1}
    if not positions or len(broken) == len(positions) or ("variables",) in bad:
        raise Enough
    positions = [position for position in positions if position not in broken]
    left = {key: value for key, value in plain.items() if not any(path[0] == key for path in bad)}
    left["prompts"] = [plain["prompts"][position] for position in positions]
    if "variables" in plain:
        left["variables"] = {name: plain["variables"][name] for name in plain["variables"]} | {
            path[1]: "?" for path in bad if path[0] == "variables"
        }
    return JobSpec.model_validate(left), positions


def _entries(spec: JobSpec, positions: list[int], path: Path, source: "_Overridden", mistakes: Mistakes) -> list[Entry]:
    """The prompt entries, each checked, and everything they make."""
    any_model = spec.endpoint not in ("aimlapi", "sandbox")
    sandbox, document = spec.endpoint == "sandbox", source.document
    job = entries.said_by_job(spec)
    walk = Walk(sandbox, any_model, mistakes, whole=not mistakes.problems)
    found = []
    for position, prompt in zip(positions, spec.prompts, strict=True):
        at = document.at("prompts", position)
        own = entries.said_by_entry(prompt, at, mistakes)
        entry = _entry(prompt, own.over(job), at, path, mistakes)
        checks.check(Level(entry, own, at, document, any_model), mistakes)
        if prompt.file is None or entry.file is not None:
            walk.entry(entry, own, at)
            found.append(entry)
        else:
            walk.whole = False
    walk.clashes(_items(found, Mistakes(), sandbox=sandbox))
    if walk.whole:
        checks.unused((name for name in job.variables if name not in walk.used), document, mistakes)
    return found


def _entry(spec: PromptSpec, said: Said, source: Document, path: Path, mistakes: Mistakes) -> Entry:
    if spec.file is None:
        if spec.prompt is None:
            mistakes.add(
                source.place(), f"{source.name()} has no prompt", "add prompt:, or file: with a list of prompts"
            )
        return Entry(source.place(), said)
    file = checks.include(spec.file, path.parent, source, mistakes)
    return Entry(source.place("file"), said, file, str(path.parent / spec.file))


def _name(spec: JobSpec, path: Path) -> str:
    stem = path.stem
    return spec.name or (stem if naming.id_problem(stem) is None else naming.slug(stem) or "job")


def _output(spec: JobSpec, path: Path, source: Source, mistakes: Mistakes) -> Path:
    """The output folder; never one that holds other things by its nature."""
    if spec.output is None:
        return Path("build") / _name(spec, path)
    try:
        output = Path(spec.output).expanduser()
        resolved = output.resolve()
        forbidden = {Path(resolved.anchor), Path.home().resolve(), path.parent.resolve()}
    except (OSError, RuntimeError):
        mistakes.add(source.place("output"), f"{source.name('output')} is {shown(spec.output)}", "name a folder")
        return Path()
    if resolved in forbidden:
        message = f"{source.name('output')} is {shown(spec.output)}: the root, the home or the job's own folder"
        mistakes.add(
            source.place("output"),
            message,
            f"name a folder for the images alone, for example build/{_name(spec, path)}",
        )
    return output
