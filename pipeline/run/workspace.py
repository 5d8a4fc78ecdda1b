"""What several commands open in the same way: the folder and the ledger of a job, and the planner over both."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from os import PathLike
from pathlib import Path

from pipeline import job as jobfile
from pipeline.clock import utc_now
from pipeline.errors import StorageFailed, UsageError
from pipeline.generated import GeneratedImage, Generation
from pipeline.ledger import Attempt, ImageRow, Ledger, LedgerReader
from pipeline.manifest import file as manifest
from pipeline.model import Job
from pipeline.output import filenames
from pipeline.output.local import OutputFolder, inspect, is_there, read_pointer, write_pointer
from pipeline.plan.decision import Decision, Selection
from pipeline.plan.planner import FileState, Planner
from pipeline.report.matching import suggestion
from pipeline.settings import Endpoint

LEDGER = "ledger.db"
STATE = ".pipeline"

LAST_LINES = 1000
"""Lines at the end of a manifest that are held against the ledger before it is relied on."""

NAMED = 10
"""Mistakes of one kind that a message names; of more it tells the number."""


def planner(job: Job, ledger: LedgerReader, endpoint: Endpoint, selection: Selection) -> Planner:
    """Decides about the job's items by this ledger and the files in the job's output folder."""

    def state(row: ImageRow) -> FileState:
        if row.path is None or row.bytes is None or row.sha256 is None:
            return "missing"
        return inspect(job.output, row.path, bytes=row.bytes, sha256=row.sha256, mtime_ns=row.mtime_ns)

    return Planner(ledger, state, pictures, endpoint.base, selection, endpoint.base_or_sandbox)


def pictures(attempt: Attempt) -> Sequence[GeneratedImage]:
    """The pictures in a paid attempt's answer; none where it can't be read."""
    generation = _read(attempt)
    return generation.images if generation else ()


def read_again(ledger: Ledger, run: str) -> None:
    """Write down what the paid answers hold that a killed run took in and had no time to read.

    `run` is the id of the run that reads them, and that reports those which can't be read.
    """
    for attempt in ledger.unread():
        generation = _read(attempt)
        if generation:
            ledger.understood(attempt.id, len(generation.images), generation.tokens_used, generation.usd)
        else:
            ledger.lose_unreadable(attempt.id, utc_now(), "paid for, but the answer can't be read", run)


def _read(attempt: Attempt) -> Generation | None:
    # Imported here: only a run that was cut short has answers to read again.
    from pipeline.http.wire import Answer
    from pipeline.providers.aimlapi.shapes import understand

    try:
        return understand(Answer(200, {}, attempt.answer or b""))
    except ValueError:
        return None


def job_or_folder(source: Job | str | PathLike[str]) -> tuple[Job | None, Path]:
    """A job with its output folder; None for the job where only the folder is named.

    Args:
        source: A job, the path of a job file, or that of an output folder.

    Raises:
        UsageError: The job file is wrong.
    """
    if isinstance(source, Job):
        return source, source.output
    path = Path(source)
    if not path.is_file() and path.suffix not in (".yaml", ".yml"):
        return None, path
    job = jobfile.load(path)
    return job, job.output


def ledger_path(output: Path, state_dir: Path | None = None) -> Path:
    """Where an output folder's ledger is: where the job says, or where a run has kept it before.

    Raises:
        StorageFailed: A run has kept it in a folder that is not there now.
    """
    if state_dir is None:
        kept = read_pointer(output / STATE)
        if kept is not None and not is_there(kept / LEDGER):
            raise StorageFailed(
                f"the ledger of {output} is kept in {kept}, and is not there: mount that folder. Without it everything "
                f"would be paid for again; if it is really lost, remove {output / STATE / 'state_dir'}"
            )
        state_dir = kept
    return (state_dir or output / STATE) / LEDGER


def kept_elsewhere(output: Path, ledger: Path) -> Path | None:
    """The folder of a ledger that is not kept in its output folder's state folder; None where it is kept there."""
    return None if ledger.parent.resolve() == (output / STATE).resolve() else ledger.parent


def require_ledger(job: Job) -> None:
    """Make sure that what a manifest speaks of is still known to a ledger.

    Raises:
        StorageFailed: There is a manifest, and the ledger is gone: everything would be paid for again.
    """
    path = ledger_path(job.output, job.state_dir)
    if is_there(job.output / manifest.NAME) and not is_there(path, filled=True):
        raise StorageFailed(
            f"{job.output / manifest.NAME} is there, but its ledger {path} is not: bring it back (a cache or a copy "
            "that leaves out names with a dot loses it), or remove the manifest to pay for everything anew"
        )


def require_matches(job: Job, selection: Selection) -> None:
    """Make sure that each pattern of --only names something.

    Raises:
        UsageError: One of them matches no id of the job.
    """
    unmatched, counts = set(selection.only), dict[str, int]()
    for item in jobfile.expand(job) if unmatched else ():
        unmatched -= {pattern for pattern in unmatched if fnmatchcase(item.id, pattern)}
        counts[item.id] = item.count
    for pattern in sorted(unmatched):
        hint = suggestion(pattern, counts)
        raise UsageError(f"--only {pattern}: no id of {job.name} matches it{hint and '; '}{hint}")


def with_free_names(store: OutputFolder, decisions: Iterable[Decision]) -> Iterator[Decision]:
    """Pass decisions on, and at their end make sure that every picture they want can have its name.

    Raises:
        StorageFailed: Folders, pipes or the like have some of the names. Nothing was sent.
    """
    if store.only_files:
        yield from decisions
        return
    found: list[str] = []
    for decision in decisions:
        yield decision
        found += filenames.obstacles(store, decision.item, _to_land(decision))
    if found:
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        raise StorageFailed(
            f"something that is not a file has the name of a picture: {'; '.join(found[:NAMED])}{more}. Move it away, "
            "then run again (nothing was sent)"
        )


def _to_land(decision: Decision) -> Iterator[int]:
    """The indexes of an item's images for which a file will be written."""
    yield from decision.ask
    yield from (paid.index for paid in decision.fetch)
    yield from (index for case in decision.unresolved for index in case.request.indexes)
    yield from (row.idx for row in decision.rename)


@contextmanager
def opened(job: Job) -> Iterator[tuple[OutputFolder, Ledger]]:
    """The job's output folder and its ledger, locked, for a run.

    Raises:
        FolderLocked: Another run holds it.
        StorageFailed: It can't be written.
        UsageError: The job's `state_dir` holds the ledger of another output folder.
    """
    manifest.require_file(job.output / manifest.NAME)
    require_ledger(job)
    path = ledger_path(job.output, job.state_dir)
    elsewhere = kept_elsewhere(job.output, path)
    with OutputFolder(job.output, elsewhere=elsewhere) as store, Ledger(path) as ledger:
        store.guard(path)
        if elsewhere is not None:
            _bind(job, store, ledger)
        _require_known(job, ledger)
        yield store, ledger


def _require_known(job: Job, ledger: LedgerReader) -> None:
    """Make sure that the ledger knows the pictures that the manifest last spoke of.

    Raises:
        StorageFailed: It does not: an older copy, or one without its log, has taken its place.
    """
    path = job.output / manifest.NAME
    if not is_there(path):
        return
    for record in manifest.read_last(path, LAST_LINES):
        if record is None or record.path is None or ledger.images(record.key) or ledger.at_path(record.path):
            continue
        if is_there(job.output / record.path):
            raise StorageFailed(
                f"{path} speaks of pictures that its ledger does not know ({record.id}): the ledger is an older copy, "
                "or its ledger.db-wal is lost. Bring both files back, or remove the manifest to pay for them anew"
            )


def _bind(job: Job, store: OutputFolder, ledger: Ledger) -> None:
    """Let the output folder and a ledger that is kept elsewhere know of each other, so that no two are mixed up."""
    assert store.elsewhere is not None
    here, there = job.output.absolute(), ledger.output()
    if there is not None and Path(there) != here and read_pointer(Path(there) / STATE) == store.elsewhere.absolute():
        raise UsageError(
            f"state_dir {store.elsewhere} holds the ledger of {there}; each output folder needs one of its own"
        )
    if there != str(here):
        ledger.belong_to(str(here))
    write_pointer(store.state, store.elsewhere.absolute())
