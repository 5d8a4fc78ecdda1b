"""`verify`: read every file and compare it with the manifest."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from pipeline.errors import FolderLocked
from pipeline.ledger import Ledger
from pipeline.manifest import file as manifest
from pipeline.model import Job, Record
from pipeline.output.local import OutputFolder, inspect
from pipeline.picture import BrokenPicture, Picture
from pipeline.report.recorded import latest, wanted
from pipeline.run.workspace import job_or_folder, kept_elsewhere, ledger_path
from pipeline.text import grouped, plural, printable

Check = Callable[[Path, Picture], None]
"""Decodes the picture in a file, and raises `BrokenPicture` where that can't be done."""


@dataclass(slots=True)
class Verification:
    """What the files are worth.

    Attributes:
        states: Saved images by the state of their file: `sound`, `missing`, `damaged`, or `undecodable` where it is
            the file that was saved, and no decoder opens it.
        bad: The records whose file is missing or damaged, with its state.
        undecodable: The records whose file can't be decoded, with the reason.
        not_saved: Images of the job that the manifest does not call saved.
        broken_lines: Lines of the manifest that are no records: of what they spoke, nobody can say.
    """

    manifest: str
    states: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[Record, str]] = field(default_factory=list)
    undecodable: list[tuple[Record, str]] = field(default_factory=list)
    not_saved: int = 0
    broken_lines: int = 0

    @property
    def sound(self) -> bool:
        """Whether every image of the job is there, unchanged since it was saved, and no decoder objects to it."""
        return not (self.bad or self.undecodable or self.not_saved or self.broken_lines)

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON can hold it."""
        bad = [
            {"id": record.id, "index": record.index, "path": record.path, "state": state} for record, state in self.bad
        ]
        bad += [
            {"id": record.id, "index": record.index, "path": record.path, "state": "undecodable", "reason": reason}
            for record, reason in self.undecodable
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
        for record, reason in self.undecodable:
            yield f"  undecodable: {printable(record.path or '')} ({record.id}): {printable(reason)}"
        files = plural(self.states.total(), "file")
        sound, bad = grouped(self.states["sound"]), grouped(len(self.bad) + len(self.undecodable))
        yield f"{printable(self.manifest)}: {files} read, {sound} sound, {bad} not"
        if self.bad:
            yield "  the next run brings them back: from the URL that was paid for where it still works"
        if self.undecodable:
            yield (
                f"  {plural(len(self.undecodable), 'file')} can't be decoded, although the bytes are those that were "
                "saved: look at them; `run JOB --only ID --force` pays for new ones"
            )
        if self.not_saved:
            yield f"  {plural(self.not_saved, 'image')} of the job not there; `status` says why"
        if self.broken_lines:
            yield f"  {plural(self.broken_lines, 'line')} can't be read; the next run writes the manifest anew"


def verify(source: Job | str | PathLike[str], *, decode: bool = False) -> Verification:
    """Read every file that the manifest calls saved, and compare its hash.

    A file that is not sound is noted in the ledger, so that the next run reads it too instead of trusting its size
    and time; where another run holds the folder just now, that note is left out.

    Args:
        source: The job, the path of its file, or that of its output folder. Only with the job are images found
            missing of which the manifest does not speak.
        decode: Decode each picture too, with Pillow, in a process of its own. A file that can't be decoded stays
            where it is: its bytes are those that were paid for, and fetching them again would bring the same.

    Raises:
        UsageError: There is no manifest yet, the job file is wrong, or Pillow is not installed.
        StorageFailed: Something can't be read.
    """
    job, output = job_or_folder(source)
    path = output / manifest.NAME
    records, broken = latest(path)
    found = Verification(str(path), broken_lines=broken)
    with ExitStack() as stack:
        check = _decoder(stack) if decode else None
        for record in wanted(job, records):
            _look(found, output, record, check)
        # What is no longer in the job is still called saved.
        for record in records.values():
            if record.status == "saved":
                _look(found, output, record, check)
    if found.bad:
        _distrust(output, job.state_dir if job else None, found)
    return found


def _decoder(stack: ExitStack) -> Check:
    # Imported here: without `decode` no other process is needed.
    from pipeline.picture.decoding import Decoder

    return stack.enter_context(Decoder()).check


def _look(found: Verification, output: Path, record: Record | None, check: Check | None) -> None:
    if record is None or record.status != "saved":
        found.not_saved += 1
        return
    if record.path is None or record.bytes is None or record.sha256 is None:
        found.not_saved += 1
        return
    state = inspect(output, record.path, bytes=record.bytes, sha256=record.sha256, mtime_ns=None)
    reason = _objection(output / record.path, record, check) if check and state == "sound" else None
    found.states["undecodable" if reason else state] += 1
    if reason:
        found.undecodable.append((record, reason))
    elif state != "sound":
        found.bad.append((record, state))


def _objection(path: Path, record: Record, check: Check) -> str | None:
    """Why the picture in a file can't be decoded; None where it can."""
    picture = Picture(record.mime_type or "", path.suffix, record.width or 0, record.height or 0)
    try:
        check(path, picture)
    except BrokenPicture as error:
        return str(error)
    return None


def _distrust(output: Path, state_dir: Path | None, found: Verification) -> None:
    path = ledger_path(output, state_dir)
    try:
        with OutputFolder(output, elsewhere=kept_elsewhere(output, path)), Ledger(path) as ledger:
            for record, _ in found.bad:
                ledger.distrust(record.key, record.index)
    except FolderLocked:
        return
