"""The ledger on another disk than the pictures."""

import shutil
import sqlite3
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from pipeline import Job, status, verify
from pipeline.errors import FolderLocked, StorageFailed, UsageError
from pipeline.inspection.forecast import Plan, plan
from pipeline.ledger import Ledger
from pipeline.output.local import OutputFolder, lock
from pipeline.plan.decision import Selection
from tests.planted import PLANTS
from tests.run.site import Site


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    return tmp_path / "state" / "site"


async def test_the_ledger_and_its_lock_are_kept_where_the_job_says(site: Site, elsewhere: Path) -> None:
    summary = await site.run("A fox", state_dir=str(elsewhere))
    assert summary.exit_code == 0
    assert (elsewhere / "ledger.db").exists()
    assert not (site.output / ".pipeline" / "ledger.db").exists()
    assert await site.asks() == 0
    assert elsewhere.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("inside", [".pipeline", "state", "."])
async def test_the_ledger_may_be_kept_in_the_output_folder_itself(site: Site, inside: str) -> None:
    state_dir = str(Path("..") / site.output.parent.name / site.output.name / inside)
    site.output.mkdir()
    with chdir(site.output.parent):
        assert (await site.run("A fox", state_dir=state_dir)).exit_code == 0
        assert await site.asks() == 0
        assert verify(site.output).sound


async def test_an_output_folder_remembers_where_its_ledger_is(site: Site, elsewhere: Path) -> None:
    await site.run("A fox", state_dir=str(elsewhere))
    del site.job["state_dir"]
    assert await site.asks() == 0
    assert status(site.output).sandbox_books.billed == 126_000
    assert verify(site.output).sound
    next(site.output.glob("*.png")).write_bytes(b"broken")
    assert not verify(site.output).sound
    (last,) = (step for step in plan(site.load(), {}, Selection()) if isinstance(step, Plan))
    assert last.downloads == 1


async def test_a_ledger_that_is_not_mounted_is_no_reason_to_pay_again(site: Site, elsewhere: Path) -> None:
    await site.run("A fox", state_dir=str(elsewhere))
    elsewhere.rename(elsewhere.with_name("away"))
    del site.job["state_dir"]
    with pytest.raises(StorageFailed, match="is not there: mount that folder"):
        await site.run()
    assert site.posts == 1


async def test_two_output_folders_cannot_share_one_ledger(site: Site, elsewhere: Path, tmp_path: Path) -> None:
    await site.run("A fox", state_dir=str(elsewhere))
    with pytest.raises(UsageError, match="each output folder needs one of its own"):
        await site.run(output=str(tmp_path / "other"))
    assert site.posts == 1


async def test_an_output_folder_may_be_moved(site: Site, elsewhere: Path, tmp_path: Path) -> None:
    await site.run("A fox", state_dir=str(elsewhere))
    site.output.rename(tmp_path / "moved")
    assert await site.asks(output=str(tmp_path / "moved")) == 0


async def test_a_run_elsewhere_still_locks_out_a_run_that_knows_nothing_of_it(site: Site, elsewhere: Path) -> None:
    with OutputFolder(site.output, elsewhere=elsewhere), pytest.raises(FolderLocked):
        await site.run("A fox")
    with OutputFolder(site.output), pytest.raises(FolderLocked):
        await site.run("A fox", state_dir=str(elsewhere))


async def test_a_file_system_without_locks_is_no_hindrance_then(
    site: Site, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = lock._take

    def only_elsewhere(fd: int) -> None:
        if not str(Path(f"/proc/self/fd/{fd}").readlink()).startswith(str(elsewhere)):
            raise OSError(37, "No locks available")
        take(fd)

    monkeypatch.setattr(lock, "_take", only_elsewhere)
    with pytest.raises(StorageFailed, match="state_dir"):
        await site.run("A fox")
    assert (await site.run("A fox", state_dir=str(elsewhere))).exit_code == 0


def test_a_file_system_that_cannot_share_memory_is_told_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def without_shared_memory(name: str, **options: Any) -> Any:
        return connect(f"{name}&vfs=unix-none" if name.startswith("file:") else name, **options)

    monkeypatch.setattr(sqlite3, "connect", without_shared_memory)
    with pytest.raises(StorageFailed, match=r"can't hold the ledger.*state_dir"):
        Ledger(tmp_path / "ledger.db")


def test_a_state_dir_is_relative_to_the_working_directory_like_the_output(site: Site) -> None:
    job: Job = site.load("A fox", state_dir="state")
    assert job.state_dir == Path("state")


@pytest.mark.parametrize("inside", [".pipeline", "state", "."])
async def test_a_note_of_verify_and_a_run_agree_on_the_locks_to_take(site: Site, inside: str) -> None:
    state_dir = site.output / inside
    site.output.mkdir()
    await site.run("A fox", state_dir=str(state_dir))
    next(site.output.glob("*.png")).write_bytes(b"broken")
    with sqlite3.connect(state_dir / "ledger.db") as ledger:
        trusted = "SELECT count(*) FROM images WHERE mtime_ns IS NOT NULL"
        held = lock.Lock(state_dir / "lock", site.output)
        assert not verify(site.output).sound
        assert ledger.execute(trusted).fetchone() == (1,), "a note was made in a ledger that a run holds"
        held.release()
        assert not verify(site.output).sound
        assert ledger.execute(trusted).fetchone() == (0,)
    ledger.close()


@pytest.mark.parametrize("kind", PLANTS)
@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal", "lock"])
async def test_what_is_not_a_file_in_a_state_dir_is_said_before_anything_is_sent(
    site: Site, elsewhere: Path, name: str, kind: str
) -> None:
    elsewhere.mkdir(parents=True)
    PLANTS[kind](elsewhere / name)
    with pytest.raises(StorageFailed, match=f"{name} is {kind.partition(' to ')[0]}, not a file: move it away"):
        await site.run("A fox", state_dir=str(elsewhere))
    assert site.posts == 0


async def test_a_state_dir_that_is_removed_during_a_run_ends_it(site: Site, elsewhere: Path) -> None:
    summary = await site.run(
        *(f"Fox {n}" for n in range(40)),
        state_dir=str(elsewhere),
        limits={"concurrency": 2},
        on_record=lambda _: shutil.rmtree(elsewhere, ignore_errors=True),
    )
    assert summary.exit_code == 6
    assert f"{elsewhere / 'ledger.db'} was removed or replaced" in (summary.reason or "")
    assert site.posts < 40
