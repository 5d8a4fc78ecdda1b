"""`manifest`: the manifest as the ledger has it, printed, or written anew."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from pipeline import job as jobfile
from pipeline import settings
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


def rebuild(job: Job, environ: Mapping[str, str]) -> Rebuilt:
    """Write the manifest anew from the ledger: to the byte what the last run wrote, if nothing has changed since.

    Args:
        job: The job.
        environ: Where the base URL is looked up.

    Raises:
        FolderLocked: A run holds the folder.
        StorageFailed: The ledger can't be read, or the manifest can't be written.
        UsageError: There is no ledger yet.
    """
    _require(job)
    path, saved, images = job.output / manifest.NAME, 0, 0

    def counting(ledger: LedgerReader) -> Iterator[Record]:
        nonlocal saved, images
        for record in _records(job, ledger, environ):
            images += 1
            saved += record.status == "saved"
            yield record

    with opened(job) as (_, ledger):
        manifest.write(path, counting(ledger))
    return Rebuilt(str(path), images, saved)


def shown(job: Job, environ: Mapping[str, str]) -> Iterator[Record]:
    """The manifest as the ledger has it, record by record; nothing is written and no lock is needed.

    Args:
        job: The job.
        environ: Where the base URL is looked up.

    Raises:
        StorageFailed: The ledger can't be read.
        UsageError: There is no ledger yet.
    """
    _require(job)
    with LedgerReader(ledger_path(job.output, job.state_dir)) as ledger:
        yield from _records(job, ledger, environ)


def _records(job: Job, ledger: LedgerReader, environ: Mapping[str, str]) -> Iterator[Record]:
    """The manifest's records by the ledger and the files that are there."""
    items = partial(jobfile.expand, job)
    endpoint = settings.resolve(job.endpoint, environ)
    absent = planner(job, ledger, endpoint, Selection()).absent(items())
    return records.manifest(items(), ledger, absent)


def _require(job: Job) -> None:
    path = ledger_path(job.output, job.state_dir)
    if not is_there(path):
        raise UsageError(f"there is no {path} yet: run the job first")
