"""What a manifest says last of each image, beside the images that a job wants."""

from collections.abc import Iterator
from pathlib import Path

from pipeline import job as jobfile
from pipeline.errors import UsageError
from pipeline.manifest import file as manifest
from pipeline.model import Job, Record
from pipeline.output.local import is_there

Latest = dict[tuple[str, int], Record]
"""The last record of each image, by the id of its item and its index."""


def latest(path: Path) -> tuple[Latest, int]:
    """The last record of each image in a manifest, and how many lines are none.

    Raises:
        UsageError: There is no manifest yet.
        StorageFailed: It can't be read.
    """
    if not is_there(path):
        raise UsageError(f"there is no {path} yet: run the job first")
    records: Latest = {}
    broken = 0
    for _, record in manifest.read(path):
        if record is None:
            broken += 1
        else:
            # While a run is writing, an image may have several lines: the last one holds.
            records[record.id, record.index] = record
    return records, broken


def wanted(job: Job | None, records: Latest) -> Iterator[Record | None]:
    """The record of each image that the job wants, None where there is none; `records` keeps those of no such image.

    Where no job is known, every record is wanted.
    """
    if job is None:
        while records:
            yield records.pop(next(iter(records)))
        return
    for item in jobfile.expand(job):
        for index in range(item.count):
            yield records.pop((item.id, index), None)
