"""A job that somebody edits, its list, its output folder, and the upstream that it buys from."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline import Record, Selection
from pipeline.ledger import Attempt, LedgerReader
from pipeline.manifest import file as manifest
from pipeline.run.workspace import pictures
from sandbox import Sandbox
from sandbox.request_log import LoggedRequest

KEY = "sk-live-4f9a1c77e0b2"
PRICE = 126_000
"""Credits for one image of the default model."""

Image = tuple[str, int]
"""One image that is wanted: its prompt, which is unique to one entry and one version of it, and its index."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the job: which version of its prompt, and how many images of it."""

    version: int = 0
    count: int = 1


@dataclass(slots=True)
class Wanted:
    """What the job and its list ask for; all that the invariants know of it.

    Attributes:
        entries: Those that stand in the job file, by id.
        rows: Those that stand in its list, by id.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    rows: dict[str, Entry] = field(default_factory=dict)

    def images(self) -> dict[Image, str]:
        """Each wanted image, and the id of its entry."""
        return {
            (prompt(name, entry), index): name
            for name, entry in (self.entries | self.rows).items()
            for index in range(entry.count)
        }

    def copy(self) -> "Wanted":
        return Wanted(dict(self.entries), dict(self.rows))


def prompt(name: str, entry: Entry) -> str:
    """The prompt of an entry, which says which entry it is, and which version."""
    return f"{name} in version {entry.version}"


class Shop:
    """One folder with a job, its list and its output, and the request log of the upstream."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.wanted = Wanted()
        self.limits: dict[str, Any] = {}
        """What the job file says of its limits."""

    @property
    def job(self) -> Path:
        return self.folder / "shop.yaml"

    @property
    def output(self) -> Path:
        return self.folder / "out"

    @property
    def ledger(self) -> Path:
        return self.output / ".pipeline" / "ledger.db"

    def write(self) -> None:
        """Write the job file and its list as they are wanted now, as an editor does: beside, then in place."""
        prompts: list[dict[str, object]] = [
            {"id": name, "prompt": prompt(name, entry), "count": entry.count}
            for name, entry in self.wanted.entries.items()
        ]
        job = {
            "endpoint": self.sandbox.base,
            "aspect_ratios": ["1:1"],
            "prompts": [*prompts, {"file": "rows.jsonl"}],
            **({"limits": self.limits} if self.limits else {}),
        }
        rows = [
            {"id": name, "prompt": prompt(name, entry), "count": entry.count}
            for name, entry in self.wanted.rows.items()
        ]
        # A run with nothing to do recognises only an output folder that is written as people write it.
        lines = [f"output: {self.output}", *(f"{key}: {json.dumps(value)}" for key, value in job.items())]
        _replace(self.job, "\n".join(lines) + "\n")
        _replace(self.folder / "rows.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))

    def records(self) -> dict[Image, Record]:
        """The last line of the manifest about each image."""
        path = self.output / manifest.NAME
        lines = manifest.read(path) if path.exists() else ()
        return {(record.prompt, record.index): record for _, record in lines if record}

    def sound(self) -> set[Image]:
        """The images that the manifest calls saved and whose file is the one that it speaks of."""
        return {image for image, record in self.records().items() if self.is_sound(record)}

    def is_sound(self, record: Record) -> bool:
        """Whether a line says `saved`, of a file that is there to the byte and was painted for its prompt."""
        if record.status != "saved" or record.path is None or record.url is None:
            return False
        path = self.output / record.path
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != record.sha256:
            return False
        painted = self.sandbox.request_log.picture(path_of(record.url))
        return painted is not None and painted.prompt == record.prompt

    def files(self) -> list[Path]:
        """The pictures that stand in the output folder."""
        return sorted(self.output.glob("*.png"))

    def bought(self, since: int) -> list[LoggedRequest]:
        """The requests that were billed, by the upstream's own log, after so many requests."""
        return [row for row in self.sandbox.request_log.requests()[since:] if row.credits]

    def answered(self, rows: list[LoggedRequest]) -> int:
        """The images in the answers to these requests, as far as they have arrived."""
        with LedgerReader(self.ledger) as ledger:
            came = {attempt.id: attempt.delivered or 0 for attempt in ledger.attempts_of(self.sandbox.base)}
        return sum(came.get(row.client_request_id or "", 0) for row in rows)

    def undelivered(self, images: Mapping[Image, str]) -> Iterator[str]:
        """Those of these images that are not the one in the latest answer that was paid for."""
        records = self.records()
        with LedgerReader(self.ledger) as ledger:
            for image in images.keys() & records.keys():
                latest = _latest(ledger.attempts(records[image].key), image[1])
                if latest not in (None, records[image].client_request_id):
                    yield f"{image}: paid for by {latest}, and is that of {records[image].client_request_id}"


def _latest(attempts: list[Attempt], index: int) -> str | None:
    """The newest attempt whose paid answer holds this image."""
    for attempt in reversed(attempts):
        covers = attempt.state == "paid" and index in attempt.indexes
        if covers and attempt.indexes.index(index) < len(pictures(attempt)):
            return attempt.id
    return None


def path_of(url: str) -> str:
    """The path under which the upstream knows a picture."""
    return urlsplit(url).path


def chosen(images: Mapping[Image, str], selection: Selection) -> dict[Image, str]:
    """Those of the images that a selection is about; its patterns are `ID*`."""
    if not selection.only:
        return dict(images)
    starts = tuple(pattern.removesuffix("*") for pattern in selection.only)
    return {image: name for image, name in images.items() if name.startswith(starts)}


def _replace(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)
