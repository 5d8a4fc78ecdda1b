"""A disk that refuses ends the run with 6; what is paid for is kept for the next one."""

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import Record, manifest
from pipeline.errors import StorageFailed
from pipeline.ledger import Ledger
from pipeline.sandbox import Behaviour
from pipeline.store import inspect
from tests.runs.site import Site

FOXES = tuple(f"Fox {n}" for n in range(4))


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


@pytest.mark.parametrize(("call", "after"), [("write", 2), ("fsync", 5), ("fstat", 2)])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
async def test_a_disk_that_fails_under_a_picture_keeps_its_claim(
    site: Site, disk: Disk, call: str, after: int, number: int
) -> None:
    site.sandbox.behaviour = Behaviour(latency=0.04)
    disk.refuse(call, number, after=after)
    summary = await site.run(*FOXES, limits={"concurrency": 1})
    disk.heal()
    assert summary.exit_code == 6
    assert str(site.output) in (summary.reason or "")
    paid = site.sandbox.books.count(status="succeeded")
    assert 1 <= paid < 4
    assert not list(site.output.glob(".*.part"))
    assert await site.asks() == 4 - paid
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


async def test_a_folder_with_the_name_of_a_picture_stops_the_run_and_its_claim_is_kept(site: Site) -> None:
    (site.output / "fox.png").mkdir(parents=True)
    summary = await site.run({"id": "fox", "prompt": "A fox"})
    assert summary.exit_code == 6
    (site.output / "fox.png").rmdir()
    assert await site.asks() == 0
    assert site.record().status == "saved"


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
    labels = {row.client_request_id for row in site.sandbox.books.requests()}
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
    assert site.sandbox.books.billed_credits() == 4 * 126_000


async def test_a_manifest_that_cant_be_written_at_the_end_is_written_by_the_next_run(site: Site) -> None:
    (site.output / ".manifest.jsonl.new").mkdir(parents=True)
    summary = await site.run("A fox")
    assert (summary.exit_code, summary.made) == (6, 1)
    (site.output / ".manifest.jsonl.new").rmdir()
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

    monkeypatch.setattr("pipeline.commands.opening.inspect", faulty)
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
