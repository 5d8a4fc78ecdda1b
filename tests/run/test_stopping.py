"""A run that must end: what is in flight is finished, everything is recorded, the next one goes on."""

import os
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from pipeline import Record, Selection, run
from pipeline.errors import FolderLocked
from sandbox import Behaviour, Fault, Sandbox
from tests.policies import QUICK
from tests.run.site import KEY, PRICE, Site, faults

FOXES = tuple(f"Fox {n}" for n in range(8))


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
async def test_a_signal_lets_what_is_in_flight_finish_and_sends_nothing_more(site: Site, name: str, code: int) -> None:
    site.sandbox.behaviour = Behaviour(latency=0.01)

    done: list[Record] = []

    def interrupt(record: Record) -> None:
        done.append(record)
        if len(done) == 1:
            os.kill(os.getpid(), getattr(signal, name))

    # So many that not all can have been asked for before the first one is there, on a machine that is busy.
    foxes = [f"Fox {n}" for n in range(40)]
    summary = await site.run(*foxes, limits={"concurrency": 2}, on_record=interrupt)
    assert (summary.exit_code, summary.reason) == (code, f"stopped by {name}")
    assert summary.saved == site.posts < 40
    assert summary.pending == 40 - site.posts
    assert summary.maybe_billed == ()
    sent = site.posts
    assert await site.asks() == 40 - sent


@pytest.mark.parametrize("name", ["SIGHUP", "SIGQUIT"])
async def test_a_signal_that_the_program_around_the_run_has_a_use_for_is_left_to_it(site: Site, name: str) -> None:
    number = signal.Signals[name]
    heard: list[int] = []
    before = signal.signal(number, lambda found, _: heard.append(found))
    try:
        summary = await site.run(*FOXES[:3], on_record=lambda _: os.kill(os.getpid(), number))
        assert (summary.exit_code, heard) == (0, [number] * 3)
        os.kill(os.getpid(), number)
        assert heard == [number] * 4, "its own handler was taken away"
    finally:
        signal.signal(number, before)


async def test_a_second_signal_stops_at_once_and_names_what_may_have_been_billed(site: Site) -> None:
    site.sandbox.behaviour = faults(Fault("hang", match="7"))

    async def interrupt_twice() -> None:
        while site.sandbox.request_log.count() < 8:
            await anyio.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    async with anyio.create_task_group() as group:
        group.start_soon(interrupt_twice)
        summary = await site.run(*FOXES)
    assert summary.exit_code == 130
    assert [maybe.tokens for maybe in summary.maybe_billed] == [PRICE]
    assert summary.failed["unsettled"] == 1
    assert summary.saved + summary.failed.get("download", 0) == 7
    assert sum(record.tokens_used or 0 for record in site.records()) == summary.tokens_used == 7 * PRICE
    site.sandbox.behaviour = faults()
    assert await site.asks() == 1
    assert {record.status for record in site.records()} == {"saved"}


async def test_the_grace_time_ends_what_does_not_finish(site: Site) -> None:
    site.sandbox.behaviour = faults("hang")

    async def interrupt() -> None:
        while not site.sandbox.request_log.count():
            await anyio.sleep(0.005)
        os.kill(os.getpid(), signal.SIGTERM)

    async with anyio.create_task_group() as group:
        group.start_soon(interrupt)
        summary = await site.run("A fox", limits={"grace": 0.03})
    assert (summary.exit_code, len(summary.maybe_billed), dict(summary.failed)) == (143, 1, {"unsettled": 1})


async def test_a_run_that_is_torn_down_is_finished_by_the_next_one_which_asks_for_nothing_that_was_answered(
    site: Site,
) -> None:
    site.sandbox.behaviour = faults("cdn-hang", Fault("hang", match="7"))
    with anyio.CancelScope() as scope:

        async def tear_down() -> None:
            while site.sandbox.request_log.gets() < 7:
                await anyio.sleep(0.005)
            scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(tear_down)
            await site.run(*FOXES)
    assert not site.pictures()
    site.sandbox.behaviour = faults()
    assert await site.asks() == 1
    assert site.summary is not None
    assert (site.summary.exit_code, site.summary.saved) == (0, 8)
    (named,) = site.summary.lost
    assert named.item.startswith("fox-7")
    assert sum(record.tokens_used or 0 for record in site.records()) == 9 * PRICE


async def killed_after_the_answer(site: Site, set_: str) -> None:
    """Leave the ledger as a kill does that strikes between a paid answer and the next commit."""
    site.sandbox.behaviour = faults("cdn-500")
    await site.run("A fox")
    site.sandbox.behaviour = faults()
    with closing(sqlite3.connect(site.output / ".pipeline/ledger.db")) as db:
        db.execute("DELETE FROM images")
        db.execute(f"UPDATE attempts SET delivered = NULL, tokens = NULL, usd = NULL{set_}")
        db.commit()


async def test_an_answer_that_a_killed_run_had_no_time_to_read_is_read_by_the_next_one(site: Site) -> None:
    await killed_after_the_answer(site, "")
    assert await site.asks() == 0
    assert (site.record().status, site.record().tokens_used) == ("saved", PRICE)


async def test_an_unreadable_answer_of_a_killed_run_is_lost_with_its_price_and_not_asked_for_again(site: Site) -> None:
    await killed_after_the_answer(site, ", answer = CAST('oops' AS BLOB)")
    assert await site.asks() == 0
    assert (site.record().cause, site.record().tokens_used) == ("lost", None)
    assert site.summary is not None
    assert [lost.tokens for lost in site.summary.lost] == [PRICE]
    assert await site.asks() == 0
    assert await site.asks(selection=Selection(retry_failed=True)) == 1
    assert site.record().status == "saved"


async def test_a_run_outside_the_main_thread_leaves_signals_alone(site: Site) -> None:
    job = site.load("A fox")
    before = signal.getsignal(signal.SIGTERM)
    summary = await anyio.to_thread.run_sync(lambda: run(job, environ={"AIML_API_KEY": KEY}, policy=QUICK))
    assert summary.exit_code == 0
    assert signal.getsignal(signal.SIGTERM) == before
    assert threading.current_thread() is threading.main_thread()


async def test_a_provider_that_is_down_ends_the_run_once_patience_is_over(site: Site) -> None:
    async with Sandbox() as gone:
        base = gone.base
    summary = await site.run(*FOXES, endpoint=base, limits={"patience": 0.05})
    assert (summary.exit_code, summary.pending, summary.maybe_billed) == (5, 8, ())
    assert "unavailable" in (summary.reason or "")
    assert {record.cause for record in site.records()} == {"pending"}
    assert await site.asks(endpoint=site.sandbox.base) == 8


@pytest.mark.usefixtures("_short_probes")
async def test_a_provider_that_comes_back_is_found_by_a_probe_and_no_item_is_lost(site: Site) -> None:
    site.sandbox.behaviour = faults(Fault("503", times=30))
    summary = await site.run(*FOXES, limits={"attempts": 2})
    assert (summary.exit_code, summary.saved) == (0, 8)
    assert site.sandbox.request_log.billed_credits() == 8 * PRICE


async def test_a_second_run_on_one_folder_is_locked_out_and_touches_nothing(site: Site) -> None:
    refused: list[FolderLocked] = []
    site.sandbox.behaviour = Behaviour(latency=0.02)

    async def second() -> None:
        while not site.posts:
            await anyio.sleep(0.005)
        with pytest.raises(FolderLocked) as raised:
            await site.run()
        refused.append(raised.value)

    async with anyio.create_task_group() as group:
        group.start_soon(second)
        summary = await site.run("A fox")
    assert summary.exit_code == 0
    assert refused[0].exit_code == 11
    assert str(os.getpid()) in str(refused[0])
    assert site.posts == 1


async def test_a_folder_that_was_locked_is_free_after_its_run(site: Site) -> None:
    await site.run("A fox")
    assert (await site.run("A crow")).exit_code == 0


async def test_nothing_is_left_half_written(site: Site, tmp_path: Path) -> None:
    site.sandbox.behaviour = faults(("cdn-truncated", "cdn-ok"))
    await site.run(*FOXES)
    assert not list(tmp_path.rglob("*.part"))
