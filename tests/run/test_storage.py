"""A disk that refuses ends the run with 6; what is paid for is kept for the next one."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from pipeline import Record, Selection, verify
from pipeline.errors import StorageFailed
from pipeline.inspection.forecast import plan
from pipeline.ledger import Ledger
from pipeline.manifest import file as manifest
from pipeline.output.local import inspect
from pipeline.run import workspace
from sandbox import Behaviour
from tests.planted import PLANTS
from tests.run.site import Site

FOXES = tuple(f"Fox {n}" for n in range(4))
MANY = 12
"""Enough that a run can't have asked for all before its first picture lands, on a machine that is busy."""


class Disk:
    """The operating system's calls on files, which can be told to fail from some call on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def refuse(self, call: str, number: int, *, after: int) -> None:
        """Let `os.call` fail with this errno after so many calls that went well.

        The start needs some: its trial, and the syncing of new folders.
        """
        real: Callable[..., Any] = getattr(os, call)
        left = after

        def faulty(*args: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(number, os.strerror(number))
            return real(*args, **more)

        self._monkeypatch.setattr(os, call, faulty)

    def heal(self) -> None:
        self._monkeypatch.undo()


@pytest.fixture
def disk() -> Any:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield Disk(monkeypatch)


@pytest.mark.parametrize(("call", "after"), [("write", 2), ("fsync", 5), ("fstat", 5)])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
async def test_a_disk_that_fails_under_a_picture_keeps_its_claim(
    site: Site, disk: Disk, call: str, after: int, number: int
) -> None:
    site.sandbox.behaviour = Behaviour(latency=0.04)
    disk.refuse(call, number, after=after)
    summary = await site.run(*(f"Fox {n}" for n in range(MANY)), limits={"concurrency": 1})
    disk.heal()
    assert summary.exit_code == 6
    assert str(site.output) in (summary.reason or "")
    paid = site.sandbox.request_log.count(status="succeeded")
    assert 1 <= paid < MANY
    assert not list(site.output.glob(".*.part"))
    assert await site.asks() == MANY - paid
    assert {record.status for record in site.records()} == {"saved"}


async def test_a_folder_that_cant_be_written_stops_the_run_before_anything_is_sent(site: Site, disk: Disk) -> None:
    disk.refuse("write", errno.ENOSPC, after=0)
    with pytest.raises(StorageFailed, match="the disk is full") as refused:
        await site.run("A fox")
    assert (refused.value.exit_code, site.posts) == (6, 0)


async def test_an_output_that_is_a_file_is_refused_before_anything_is_sent(site: Site) -> None:
    site.output.write_text("not a folder")
    with pytest.raises(StorageFailed):
        await site.run("A fox")
    assert site.posts == 0


@pytest.mark.parametrize("kind", PLANTS)
async def test_what_is_not_a_file_in_a_new_pictures_place_is_said_before_anything_is_sent(
    site: Site, kind: str
) -> None:
    site.output.mkdir()
    PLANTS[kind](site.output / "fox-2.webp")
    with pytest.raises(StorageFailed, match=f"fox-2.webp is {kind}. Move it away, then run again") as refused:
        await site.run({"id": "crow", "prompt": "A crow"}, {"id": "fox", "prompt": "A fox", "count": 2})
    assert (refused.value.exit_code, site.posts) == (6, 0)
    (site.output / "fox-2.webp").rename(site.folder / "away")
    assert (await site.run()).saved == 3


@pytest.mark.parametrize("kind", PLANTS)
async def test_what_is_not_a_file_in_a_saved_pictures_place_is_said_before_anything_is_sent(
    site: Site, kind: str
) -> None:
    await site.run({"id": "fox", "prompt": "A fox"})
    (site.output / "fox.png").unlink()
    PLANTS[kind](site.output / "fox.png")
    assert not verify(site.output).sound
    with pytest.raises(StorageFailed, match=f"fox.png is {kind}. Move it away"):
        await site.run()
    (site.output / "fox.png").rename(site.folder / "away")
    assert await site.asks() == 0


async def test_what_is_not_a_file_where_a_picture_is_to_be_renamed_to_is_said_too(site: Site) -> None:
    await site.run({"id": "fox", "prompt": "A fox"})
    PLANTS["a named pipe"](site.output / "renard.png")
    with pytest.raises(StorageFailed, match=r"renard.png is a named pipe"):
        await site.run({"id": "renard", "prompt": "A fox"})
    assert list(site.pictures()) == ["fox.png"]


async def test_of_many_pictures_whose_place_is_taken_ten_are_named_and_the_others_counted(site: Site) -> None:
    site.output.mkdir()
    for number in range(12):
        PLANTS["a folder"](site.output / f"fox-{number}.jpg")
    with pytest.raises(StorageFailed, match=r"fox-9.jpg is a folder and 2 more\. Move"):
        await site.run(*({"id": f"fox-{number}", "prompt": f"Fox {number}"} for number in range(12)))
    assert site.posts == 0


async def test_what_is_in_the_way_of_another_picture_than_those_chosen_is_no_hindrance(site: Site) -> None:
    site.output.mkdir()
    PLANTS["a named pipe"](site.output / "fox.png")
    prompts = ({"id": "fox", "prompt": "A fox"}, {"id": "crow", "prompt": "A crow"})
    assert (await site.run(*prompts, selection=Selection(only=("crow",)))).made == 1


@pytest.mark.parametrize("kind", ["a named pipe", "a socket", "a folder"])
async def test_what_takes_a_pictures_place_during_the_run_ends_it_and_its_claim_is_kept(site: Site, kind: str) -> None:
    def plant(record: Record) -> None:
        if not (site.output / "owl.png").exists():
            PLANTS[kind](site.output / "owl.png")

    site.sandbox.behaviour = Behaviour(latency=0.01)
    prompts = ({"id": "fox", "prompt": "A fox"}, {"id": "owl", "prompt": "An owl"})
    summary = await site.run(*prompts, limits={"concurrency": 1, "downloads": 1}, on_record=plant)
    assert summary.exit_code == 6
    assert "owl.png is " + kind in (summary.reason or "")
    (site.output / "owl.png").rename(site.folder / "away")
    posts = site.posts
    assert (await site.run()).saved == 2
    assert (posts, site.posts) == (2, 2)


STATE_FILES = ("lock", "state_dir", "state_dir.new", "ledger.db", "ledger.db-wal", "ledger.db-journal")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((f".pipeline/{name}", kind) for name in STATE_FILES for kind in PLANTS),
        *((f".pipeline/{name}", "a named pipe") for name in ("replaced", "quarantine", "sandbox")),
        *((name, kind) for name in ("manifest.jsonl", ".manifest.jsonl.new") for kind in PLANTS),
    ],
)
async def test_what_is_not_a_file_in_a_state_files_place_is_said_before_anything_is_sent(
    site: Site, name: str, kind: str
) -> None:
    (site.output / ".pipeline").mkdir(parents=True)
    PLANTS[kind](site.output / name)
    with pytest.raises(StorageFailed, match=f"{name} is {kind.partition(' to ')[0]}.* move it away, then run again"):
        await site.run("A fox")
    assert site.posts == 0


@pytest.mark.parametrize("kind", PLANTS)
async def test_what_is_not_a_file_in_the_ledgers_place_is_not_called_a_ledger_that_is_gone(
    site: Site, kind: str
) -> None:
    await site.run("A fox")
    ledger = site.output / ".pipeline" / "ledger.db"
    ledger.rename(ledger.with_name("aside"))
    PLANTS[kind](ledger)
    for what in (site.run, lambda: anyio.to_thread.run_sync(list, plan(site.load(), {}, Selection()))):
        with pytest.raises(StorageFailed, match=f"ledger.db is {kind.partition(' to ')[0]}, not a file: move it away"):
            await what()
    assert site.posts == 1


LOSSES: dict[str, Callable[[Path], object]] = {
    "the output folder": shutil.rmtree,
    "the state folder": lambda output: shutil.rmtree(output / ".pipeline"),
    "the ledger": lambda output: (output / ".pipeline" / "ledger.db").unlink(),
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_run_whose_ledger_is_removed_buys_no_more_and_promises_nothing(site: Site, loss: str) -> None:
    done = 0

    def remove(record: Record) -> None:
        nonlocal done
        done += 1
        if done == 3:
            LOSSES[loss](site.output)

    site.sandbox.behaviour = Behaviour(latency=0.01)
    summary = await site.run(*(f"Fox {n}" for n in range(40)), on_record=remove, limits={"concurrency": 2})
    assert summary.exit_code == 6
    assert "with it the record of what was paid for. Bring it back" in (summary.reason or "")
    assert "is lost" not in (summary.reason or "")
    assert site.posts < 20, "it went on buying"
    assert summary.saved == sum(path.suffix == ".png" for path in site.output.glob("*")), "what is gone is called saved"


@pytest.fixture
def ledgers(monkeypatch: pytest.MonkeyPatch) -> list[Ledger]:
    """The ledgers that runs have opened, to take them away from under them."""
    opened: list[Ledger] = []
    enter = Ledger.__enter__

    def noting(ledger: Ledger) -> Ledger:
        opened.append(ledger)
        return enter(ledger)

    monkeypatch.setattr(Ledger, "__enter__", noting)
    return opened


def writer(ledger: Ledger) -> sqlite3.Connection:
    return ledger._writer


async def test_nothing_is_sent_whose_intent_cant_be_written_down(site: Site, ledgers: list[Ledger]) -> None:
    def take_away(record: Record) -> None:
        writer(ledgers[0]).execute("PRAGMA query_only = ON")

    summary = await site.run(*FOXES, limits={"concurrency": 1, "downloads": 1}, on_record=take_away)
    assert summary.exit_code == 6
    assert "ledger" in (summary.reason or "")
    assert site.posts < 4
    labels = {row.client_request_id for row in site.sandbox.request_log.requests()}
    with sqlite3.connect(site.output / ".pipeline/ledger.db") as db:
        assert labels <= {label for (label,) in db.execute("SELECT id FROM attempts")}
    db.close()


async def test_a_ledger_that_is_full_ends_the_run_and_the_next_one_goes_on(site: Site, ledgers: list[Ledger]) -> None:
    def fill(record: Record) -> None:
        (pages,) = writer(ledgers[0]).execute("PRAGMA page_count").fetchone()
        writer(ledgers[0]).execute(f"PRAGMA max_page_count = {pages}")

    foxes = [f"Fox {n}: {'a very long tale of a fox ' * 14}" for n in range(12)]
    summary = await site.run(*foxes, limits={"concurrency": 1, "downloads": 1}, on_record=fill)
    assert summary.exit_code == 6
    assert (await site.run()).exit_code == 0
    assert len(site.records()) == 12


async def test_a_run_that_has_begun_returns_its_summary_even_if_the_ledger_is_gone_at_its_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise StorageFailed("the ledger can't be used: disk I/O error")

    monkeypatch.setattr(Ledger, "end_run", refuse)
    summary = await site.run("A fox")
    assert (summary.saved, summary.made) == (1, 1)


async def test_a_run_that_has_begun_returns_its_summary_even_if_the_ledger_cant_be_read_at_its_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise StorageFailed("the ledger can't be used: disk I/O error")

    def break_it(record: Record) -> None:
        for name in ("of_items", "maybe_billed"):
            monkeypatch.setattr(Ledger, name, refuse)

    summary = await site.run("A fox", on_record=break_it)
    assert (summary.exit_code, summary.made) == (6, 1)
    assert "disk I/O error" in (summary.reason or "")


async def test_a_manifest_that_cant_be_written_during_the_run_ends_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(log: manifest.ManifestLog, record: Record) -> None:
        raise StorageFailed("manifest.jsonl can't be written: No space left on device")

    monkeypatch.setattr(manifest.ManifestLog, "append", refuse)
    summary = await site.run(*FOXES, limits={"concurrency": 1, "downloads": 1})
    assert summary.exit_code == 6
    assert site.posts < 4
    monkeypatch.undo()
    assert (await site.run()).exit_code == 0
    assert site.sandbox.request_log.billed_credits() == 4 * 126_000


async def test_a_manifest_that_cant_be_written_at_the_end_is_written_by_the_next_run(site: Site) -> None:
    fresh = site.output / ".manifest.jsonl.new"
    summary = await site.run("A fox", on_record=lambda _: fresh.mkdir())
    assert (summary.exit_code, summary.made) == (6, 1)
    fresh.rmdir()
    assert await site.asks() == 0
    assert site.record().status == "saved"


async def test_a_file_that_cant_be_looked_at_stops_the_run_before_anything_is_paid_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.run("A fox", "A crow")
    next(site.output.glob("*fox*.png")).unlink()

    def faulty(root: Path, path: str, **more: Any) -> Any:
        if "crow" in path:
            raise StorageFailed(f"can't read {root / path}: permission denied")
        return inspect(root, path, **more)

    monkeypatch.setattr(workspace, "inspect", faulty)
    with pytest.raises(StorageFailed, match="permission denied") as refused:
        await site.asks("An owl", "A fox", "A crow")
    assert (refused.value.exit_code, site.posts) == (6, 2)


async def test_a_rename_that_fails_ends_the_run_and_the_next_one_does_it(site: Site, disk: Disk) -> None:
    await site.run({"id": "fox", "prompt": "A fox"})
    disk.refuse("fsync", errno.EIO, after=2)
    summary = await site.run({"id": "renard", "prompt": "A fox"})
    disk.heal()
    assert summary.exit_code == 6
    assert await site.asks() == 0
    assert list(site.pictures()) == ["renard.png"]
