"""`verify`: read every file and compare it with the manifest."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from pipeline import manifest
from pipeline.commands.opening import job_or_folder, kept_elsewhere, ledger_path
from pipeline.commands.status import latest, wanted
from pipeline.errors import FolderLocked
from pipeline.ledger import Ledger
from pipeline.model import Job, Record
from pipeline.store import Store, inspect
from pipeline.text import grouped, plural, printable


@dataclass(slots=True)
class Verification:
    """What the files are worth.

    Attributes:
        states: Saved images by the state of their file: `sound`, `missing`, `damaged`.
        bad: The records whose file is not sound, with its state.
        not_saved: Images of the job that the manifest does not call saved.
        broken_lines: Lines of the manifest that are no records: of what they spoke, nobody can say.
    """

    manifest: str
    states: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[Record, str]] = field(default_factory=list)
    not_saved: int = 0
    broken_lines: int = 0

    @property
    def sound(self) -> bool:
        """Whether every image of the job is there, unchanged since it was saved."""
        return not (self.bad or self.not_saved or self.broken_lines)

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON can hold it."""
        bad = [
            {"id": record.id, "index": record.index, "path": record.path, "state": state} for record, state in self.bad
        ]
        return {
            "manifest": self.manifest,
            "sound": self.sound,
            "states": dict(self.states),
            "bad": bad,
            "not_saved": self.not_saved,
            "broken_lines": self.broken_lines,
        }

    def lines(self) -> Iterator[str]:
        """The result as a person reads it."""
        for record, state in self.bad:
            yield f"  {state}: {printable(record.path or '')} ({record.id})"
        files = plural(self.states.total(), "file")
        sound, bad = grouped(self.states["sound"]), grouped(len(self.bad))
        yield f"{printable(self.manifest)}: {files} read, {sound} sound, {bad} not"
        if self.bad:
            yield "  the next run brings them back: from the URL that was paid for where it still works"
        if self.not_saved:
            yield f"  {plural(self.not_saved, 'image')} of the job not there; `status` says why"
        if self.broken_lines:
            yield f"  {plural(self.broken_lines, 'line')} can't be read; the next run writes the manifest anew"


def verify(source: Job | str | PathLike[str]) -> Verification:
    """Read every file that the manifest calls saved, and compare its hash.

    A file that is not sound is noted in the ledger, so that the next run reads it too instead of trusting its size
    and time; where another run holds the folder just now, that note is left out.

    Args:
        source: The job, the path of its file, or that of its output folder. Only with the job are images found
            missing of which the manifest does not speak.

    Raises:
        UsageError: There is no manifest yet, or the job file is wrong.
        StorageFailed: Something can't be read.
    """
    job, output = job_or_folder(source)
    path = output / manifest.NAME
    records, broken = latest(path)
    found = Verification(str(path), broken_lines=broken)
    for record in wanted(job, records):
        _look(found, output, record)
    # What is no longer in the job is still called saved.
    for record in records.values():
        if record.status == "saved":
            _look(found, output, record)
    if found.bad:
        _distrust(output, job.state_dir if job else None, found)
    return found


def _look(found: Verification, output: Path, record: Record | None) -> None:
    if record is None or record.status != "saved":
        found.not_saved += 1
        return
    if record.path is None or record.bytes is None or record.sha256 is None:
        found.not_saved += 1
        return
    state = inspect(output, record.path, bytes=record.bytes, sha256=record.sha256, mtime_ns=None)
    found.states[state] += 1
    if state != "sound":
        found.bad.append((record, state))


def _distrust(output: Path, state_dir: Path | None, found: Verification) -> None:
    path = ledger_path(output, state_dir)
    try:
        with Store(output, elsewhere=kept_elsewhere(output, path)), Ledger(path) as ledger:
            for record, _ in found.bad:
                ledger.distrust(record.key, record.index)
    except FolderLocked:
        return
