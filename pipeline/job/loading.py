"""From a path to a checked job, and from a job to its items."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.errors import UsageError
from pipeline.job import checks, entries, files, folders, items, naming, template
from pipeline.job.checks import Layer
from pipeline.job.diagnostics import pydantic_errors
from pipeline.job.diagnostics.diagnostic import Diagnostics, Enough, WrittenAt
from pipeline.job.entries import Entry, EntryValues
from pipeline.job.expansion import Expansion
from pipeline.job.schema import JobSpec, PromptSpec
from pipeline.job.yaml import comments, yaml12
from pipeline.job.yaml.scalars import shown
from pipeline.job.yaml.syntax import BadYaml
from pipeline.job.yaml.yaml12 import YamlDocument
from pipeline.model import Item, Job, Limits, Place
from pipeline.plan.fingerprint import digest_of

MOST_BYTES = 10_000_000
"""Bytes a job file may have; longer lists of prompts belong into included files."""

READINGS = 3
"""Times that a job is read whose files change meanwhile."""

EXTENSION = "x-"
"""Keys at the top that begin so are the user's own: a place for anchors."""


def load(
    path: str | PathLike[str],
    *,
    endpoint: str | None = None,
    output: str | PathLike[str] | None = None,
    limits: Mapping[str, Any] | None = None,
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
    path = Path(path)
    single = {name: value for name, value in (limits or {}).items() if value is not None}
    options: dict[str, Any] = {
        "endpoint": endpoint,
        "output": None if output is None else Path(output),
        "limits": single or None,
    }
    instead = {key: value for key, value in options.items() if value is not None}
    for _ in range(READINGS):
        mistakes, job = Diagnostics(), None
        before = digest_of(path)
        with suppress(Enough):
            job = _load(path, instead, mistakes)
        mistakes.found(path)
        assert job is not None, "reading ends early only with a mistake"
        job = replace(job, digests={path: before, **job.digests})
        # A run is about the bytes that were read; of a file that somebody was writing to, nobody knows which these are.
        if all(digest is not None and digest_of(file) == digest for file, digest in job.digests.items()):
            return job
    raise UsageError(f"{path} or a file that it includes changes while it is read; run again when it is written")


def expand(job: Job) -> Iterator[Item]:
    """The job's items, in its order, one at a time, as they were when the job was read."""
    return iter(job.wanted)


def _items(entries_: Sequence[Entry], mistakes: Diagnostics, *, sandbox: bool) -> Iterator[Item]:
    """The items of all entries whose variables have values; what is wrong with a row goes to `mistakes`."""
    for entry in entries_:
        concrete = (row[0] for row in entries.of_rows(entry, mistakes) if row) if entry.file else iter([entry])
        for one in concrete:
            names = one.said.prompt.names if one.said.prompt else ()
            if one.said.prompt is None or any(name not in one.said.variables for name in names):
                mistakes.add(one.place, f"{one.name} has a prompt without a value", "read the job again")
            else:
                yield from items.of_entry(one, sandbox=sandbox)


@dataclass(frozen=True, slots=True)
class _Overridden:
    """The job file with some values given on the command line instead: a `WrittenAt` of places."""

    document: YamlDocument
    instead: Mapping[str, Any]

    def place(self, *path: str | int) -> Place:
        return Place(option) if (option := self._option(path)) else self.document.place(*path)

    def key_place(self, *path: str | int) -> Place:
        return Place(option) if (option := self._option(path)) else self.document.key_place(*path)

    def name(self, *path: str | int) -> str:
        # Its place names the option already.
        return "the value" if self._option(path) else self.document.name(*path)

    def _option(self, path: tuple[str | int, ...]) -> str | None:
        key, *below = path or ("",)
        if key not in self.instead or (key == "limits" and (not below or below[0] not in self.instead["limits"])):
            return None
        return f"--{below[0] if key == 'limits' else key}".replace("_", "-")


def _load(path: Path, instead: Mapping[str, Any], mistakes: Diagnostics) -> Job:
    document = _read(path, mistakes)
    source = _Overridden(document, instead)
    plain = {key: value for key, value in document.root.plain().items() if not key.startswith(EXTENSION)}
    own_limits = plain.get("limits")
    if "limits" in instead and isinstance(own_limits, dict | None):
        plain["limits"] = (own_limits or {}) | instead["limits"]
    plain |= {key: value for key, value in instead.items() if key != "limits"}
    spec, positions, mentioned = _spec(plain, source, mistakes)
    output = _output(spec, path, source, mistakes, literal="output" in instead)
    state_dir = None if spec.state_dir is None else _folder(spec.state_dir, "state_dir", source, mistakes)
    walk, digests = _entries(spec, positions, mentioned, path, document, mistakes)
    return Job(
        name=_name(spec, path),
        path=path,
        endpoint=spec.endpoint,
        output=output,
        limits=Limits(**spec.limits.given(mistakes.note)),
        wanted=walk.wanted,
        state_dir=state_dir,
        check=spec.check,
        digests=digests,
        given={key: str(value) for key, value in instead.items() if key != "limits"},
        proxy=spec.proxy,
        user_agent=spec.user_agent,
        notes=tuple(mistakes.notes),
        unused_columns={file: columns for file, columns in walk.unused.items() if columns},
    )


def _read(path: Path, mistakes: Diagnostics) -> YamlDocument:
    """The job file's nodes, a mapping."""
    try:
        document = yaml12.read(files.text_of(path, str(path), MOST_BYTES), str(path), mistakes)
    except (files.Unreadable, BadYaml) as error:
        mistakes.add(error.place, error.message, error.cure)
        raise Enough from None
    if not isinstance(document.root.value, dict):
        found = "a list" if isinstance(document.root.value, list) else "text"
        mistakes.add(
            document.place(), f"the file holds {found}, not the keys of a job", "write `prompts:` above the list"
        )
        raise Enough
    comments.check(document, mistakes)
    return document


def _spec(plain: dict[str, Any], source: WrittenAt, mistakes: Diagnostics) -> tuple[JobSpec, list[int], set[str]]:
    """The job as its schema has it, the positions of its prompts in the file, and what the left out ones mention.

    What the schema refuses is noted and left out, so that the rest can still be checked.
    """
    prompts = plain.get("prompts")
    count = len(prompts) if isinstance(prompts, list) else 0
    try:
        return JobSpec.model_validate(plain), list(range(count)), set()
    except ValidationError as error:
        pydantic_errors.report(error, source, mistakes, JobSpec)
        bad = [found["loc"] for found in error.errors(include_url=False, include_input=False)]
    if not prompts or not all(_mended(plain, path) for path in bad if path[0] != "prompts"):
        raise Enough
    broken = {path[1] for path in bad if len(path) > 1 and path[0] == "prompts" and not _mended(prompts, path[1:])}
    mentioned = {name for position in broken for name in template.mentioned(str(prompts[int(position)]))}
    positions = [position for position in range(count) if position not in broken]
    if not positions:
        raise Enough
    return JobSpec.model_validate(plain | {"prompts": [prompts[n] for n in positions]}), positions, mentioned


def _mended(holder: Any, path: tuple[str | int, ...]) -> bool:
    """Whether the refused value at a path could be taken out without changing what the rest means."""
    depth = 2 if isinstance(path[0], int) else 1
    if len(path) > depth and path[depth - 1] in ("limits", "variables"):
        depth += 1
    *around, key = path[:depth]
    for part in around:
        holder = holder[part]
    if not isinstance(holder, dict) or key in ("prompt", "file", "encoding", "variables"):
        return False
    if around[-1:] == ["variables"]:
        holder[key] = "?"
    elif key == "aspect_ratios":
        holder[key] = []
    else:
        holder.pop(key, None)
    return True


def _entries(
    spec: JobSpec, positions: list[int], mentioned: set[str], path: Path, document: YamlDocument, mistakes: Diagnostics
) -> tuple[Expansion, dict[Path, str | None]]:
    """The walk through everything that the prompt entries make; and the files that they include, with their digests."""
    any_model, sandbox = spec.endpoint not in ("aimlapi", "sandbox"), spec.endpoint == "sandbox"
    job, found, sound = entries.said_by_job(spec), [], False
    digests: dict[Path, str | None] = {}
    walk = Expansion(sandbox, any_model, mistakes, used=mentioned)
    for position, prompt in zip(positions, spec.prompts, strict=True):
        source = document.at("prompts", position)
        own = entries.said_by_entry(prompt, source, mistakes)
        entry = _entry(prompt, own.merged_over(job), source, path, mistakes)
        if own.asks or not sound:
            known = len(mistakes.problems)
            checks.check(Layer(entry, own, source, document, any_model), mistakes)
            # What holds for one entry that says nothing of its own holds for all of them.
            sound = sound or (not own.asks and len(mistakes.problems) == known)
        if prompt.prompt is not None and own.prompt is None:
            walk.used |= template.mentioned(prompt.prompt)
        elif prompt.file is None or entry.file is not None:
            if entry.file is not None and entry.file not in digests:
                digests[entry.file] = digest_of(entry.file)
            walk.entry(entry, own, source)
            found.append(entry)
        else:
            walk.whole = False
    walk.clashes(_items(found, Diagnostics(), sandbox=sandbox))
    if walk.whole:
        checks.unused((name for name in job.variables if name not in walk.used), document, mistakes)
    return walk, digests


def _entry(spec: PromptSpec, said: EntryValues, source: YamlDocument, path: Path, mistakes: Diagnostics) -> Entry:
    if spec.file is None:
        if spec.encoding is not None:
            message = f"{source.name('encoding')} belongs to an included file"
            mistakes.add(source.key_place("encoding"), message, "add file:, or remove it: a job file is UTF-8")
        if spec.prompt is None:
            mistakes.add(
                source.place(), f"{source.name()} has no prompt", "add prompt:, or file: with a list of prompts"
            )
        return Entry(source.place(), source.name(), said)
    file = folders.include(spec.file, path, source, mistakes)
    return Entry(source.place("file"), source.name(), said, file, str(path.parent / spec.file), encoding=spec.encoding)


def _name(spec: JobSpec, path: Path) -> str:
    stem = path.stem
    return spec.name or (stem if naming.id_problem(stem) is None else naming.slug(stem) or "job")


def _output(spec: JobSpec, path: Path, source: WrittenAt, mistakes: Diagnostics, *, literal: bool) -> Path:
    """The output folder; on the command line (`literal`) the shell has put in what its `$NAME` stand for."""
    name = _name(spec, path)
    if spec.output is None:
        return Path("build") / name
    output = _folder(spec.output.replace("$", "$$") if literal else spec.output, "output", source, mistakes)
    if output is None:
        return Path()
    folders.output(output, path, source, name, mistakes)
    return output


def _folder(text: str, key: str, source: WrittenAt, mistakes: Diagnostics) -> Path | None:
    """A folder that the job names, or None where it can't be used, which is noted."""
    try:
        return folders.folder(text, os.environ)
    except folders.Unusable as error:
        mistakes.add(source.place(key), f"{source.name(key)} is {shown(text)}: {error.message}", error.cure)
        return None
