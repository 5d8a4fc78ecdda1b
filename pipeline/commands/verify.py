"""`verify`: read every file and hold it against the manifest."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline import manifest
from pipeline.commands.opening import kept_elsewhere, ledger_path
from pipeline.commands.status import latest
from pipeline.errors import FolderLocked
from pipeline.ledger import Ledger
from pipeline.model import Record
from pipeline.store import Store, inspect
from pipeline.text import grouped, plural, printable


@dataclass(slots=True)
class Verification:
    """What the files are worth.

    Attributes:
        states: Saved images by the state of their file: `sound`, `missing`, `damaged`.
        bad: The records whose file is not sound, with its state.
        not_saved: Images that the manifest calls failed.
    """

    manifest: str
    states: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[Record, str]] = field(default_factory=list)
    not_saved: int = 0

    @property
    def sound(self) -> bool:
        """Whether every file that the manifest calls saved is there, unchanged."""
        return not self.bad

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON can hold it."""
        bad = [
            {"id": record.id, "index": record.index, "path": record.path, "state": state} for record, state in self.bad
        ]
        return {"manifest": self.manifest, "states": dict(self.states), "bad": bad, "not_saved": self.not_saved}

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


def verify(output: Path) -> Verification:
    """Read every file that the manifest calls saved, and compare its hash.

    A file that is not sound is noted in the ledger, so that the next run reads it too instead of trusting its size
    and time; where another run holds the folder just now, that note is left out.

    Raises:
        UsageError: There is no manifest yet.
        StorageFailed: Something can't be read.
    """
    path = output / manifest.NAME
    records, _ = latest(path)
    found = Verification(str(path))
    for record in records.values():
        if record.status != "saved" or record.path is None or record.bytes is None or record.sha256 is None:
            found.not_saved += 1
            continue
        state = inspect(output, record.path, bytes=record.bytes, sha256=record.sha256, mtime_ns=None)
        found.states[state] += 1
        if state != "sound":
            found.bad.append((record, state))
    if found.bad:
        _distrust(output, found)
    return found


def _distrust(output: Path, found: Verification) -> None:
    try:
        path = ledger_path(output)
        with Store(output, elsewhere=kept_elsewhere(output, path)), Ledger(path) as ledger:
            for record, _ in found.bad:
                ledger.distrust(record.key, record.index)
    except FolderLocked:
        return
