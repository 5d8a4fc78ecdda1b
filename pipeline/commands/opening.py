"""What several commands open in the same way: the planner of a job, over its ledger and its files."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.ledger import Attempt, ImageRow, Ledger, LedgerReader
from pipeline.model import GeneratedImage, Generation, Job
from pipeline.plan import FileState, Planner, Selection
from pipeline.store import inspect

LEDGER = "ledger.db"
STATE = ".pipeline"


def planner(job: Job, ledger: LedgerReader, base: str, selection: Selection) -> Planner:
    """Decides about the job's items by this ledger and the files in the job's output folder."""

    def state(row: ImageRow) -> FileState:
        if row.path is None or row.bytes is None or row.sha256 is None:
            return "missing"
        return inspect(job.output, row.path, bytes=row.bytes, sha256=row.sha256, mtime_ns=row.mtime_ns)

    return Planner(ledger, state, pictures, base, selection)


def pictures(attempt: Attempt) -> Sequence[GeneratedImage]:
    """The pictures in a paid attempt's answer; none where it can't be read."""
    generation = _read(attempt)
    return generation.images if generation else ()


def read_again(ledger: Ledger) -> None:
    """Write down what the paid answers hold that a killed run took in and had no time to read."""
    for attempt in ledger.unread():
        generation = _read(attempt)
        if generation:
            ledger.understood(attempt.id, len(generation.images), generation.tokens_used, generation.usd)


def _read(attempt: Attempt) -> Generation | None:
    # Imported here: only a run that was cut short has answers to read again.
    from pipeline.api.shapes import understand
    from pipeline.api.wire import Answer

    try:
        return understand(Answer(200, {}, attempt.answer or b""))
    except ValueError:
        return None


def ledger_path(output: Path) -> Path:
    """Where an output folder's ledger is."""
    return output / STATE / LEDGER
