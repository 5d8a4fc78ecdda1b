"""`manifest`: the manifest as the ledger has it, printed, or written anew."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from pipeline import job as jobfile
from pipeline import settings, streams
from pipeline.errors import UsageError
from pipeline.ledger import LedgerReader
from pipeline.manifest import file as manifest
from pipeline.manifest import records
from pipeline.model import Job, Record
from pipeline.output.local import is_there
from pipeline.plan.decision import Selection
from pipeline.run.workspace import ledger_path, opened, planner
from pipeline.text import grouped, plural


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A manifest that has been written: where, and how many lines of which how many are saved images."""

    manifest: str
    images: int
    saved: int

    def as_dict(self) -> dict[str, str | int]:
        """The same as JSON can hold it."""
        return {"manifest": self.manifest, "images": self.images, "saved": self.saved}

    def lines(self) -> list[str]:
        """The same as a person reads it."""
        return [f"{self.manifest}: {plural(self.images, 'line')} written, {grouped(self.saved)} of saved images"]


def rebuild(job: Job) -> Rebuilt:
    """Write the manifest anew from the ledger: to the byte what the last run wrote, if nothing has changed since.

    Raises:
        FolderLocked: A run holds the folder.
        StorageFailed: The ledger can't be read, or the manifest can't be written.
        UsageError: There is no ledger yet.
    """
    _require(job)
    path, saved, images = job.output / manifest.NAME, 0, 0

    def counting(ledger: LedgerReader) -> Iterator[Record]:
        nonlocal saved, images
        for record in rows(job, ledger):
            images += 1
            saved += record.status == "saved"
            yield record

    with opened(job) as (_, ledger):
        manifest.write(path, counting(ledger))
    return Rebuilt(str(path), images, saved)


def show(job: Job) -> None:
    """Print the manifest as the ledger has it, line by line; nothing is written and no lock is needed.

    Raises:
        StorageFailed: The ledger can't be read.
        UsageError: There is no ledger yet.
    """
    _require(job)
    with LedgerReader(ledger_path(job.output, job.state_dir)) as ledger:
        for line in map(manifest.to_line, rows(job, ledger)):
            if not streams.out_bytes(line):
                return


def rows(job: Job, ledger: LedgerReader) -> Iterator[Record]:
    """The manifest's lines by the ledger and the files that are there."""
    items = partial(jobfile.expand, job)
    endpoint = settings.resolve(job.endpoint, os.environ)
    absent = planner(job, ledger, endpoint, Selection()).absent(items())
    return records.manifest(items(), ledger, absent)


def _require(job: Job) -> None:
    path = ledger_path(job.output, job.state_dir)
    if not is_there(path):
        raise UsageError(f"there is no {path} yet: run the job first")
