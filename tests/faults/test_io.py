"""A disk that fails, at each step there is: the run ends with a documented code, and the next one finishes from there.

As SQLite is tested: the first call fails, then the second, and so on until a run ends before the fault strikes.
"""

import errno
import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline import verify
from pipeline.errors import StorageFailed
from pipeline.ledger import writing
from pipeline.ledger.group_commit import GroupCommit
from sandbox import Sandbox
from tests.faults.injector import CALLS, SHORT, Injector
from tests.faults.scale import count
from tests.run.site import Site

ERRORS = {
    "open": (errno.EMFILE, errno.EACCES, errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EINTR),
    "write": (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EINTR),
    "fsync": (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EINTR),
    "ftruncate": (errno.EIO, errno.ENOSPC, errno.EINTR),
    "close": (errno.EIO, errno.EDQUOT, errno.ENOSPC, errno.EINTR),
    "replace": (errno.EACCES, errno.ENOSPC, errno.EIO, errno.EDQUOT),
    "link": (errno.EPERM, errno.EMLINK, errno.ENOSPC, errno.EIO, errno.EDQUOT),
    "unlink": (errno.EIO, errno.EACCES),
    "mkdir": (errno.ENOSPC, errno.EACCES, errno.EIO, errno.EDQUOT),
    "chmod": (errno.EPERM, errno.EIO),
    "scandir": (errno.EIO, errno.EACCES, errno.EMFILE),
    "stat": (errno.EIO, errno.EACCES),
    "lstat": (errno.EIO, errno.EACCES),
    "fstat": (errno.EIO,),
    "statvfs": (errno.EIO, errno.EACCES),
}
"""EINTR, which Python hides where a signal is its cause, comes only from a file system at fault, and not for good."""

PROMPTS: tuple[Any, ...] = ({"prompt": "A fox", "count": 2}, "A crow", {"id": "hero", "prompt": "A new hero"})

assert set(ERRORS) == set(CALLS)


async def prepared(folder: Path, sandbox: Sandbox) -> Path:
    """An output folder in which the picture lies that one of the prompts is to replace."""
    site = Site(folder, sandbox)
    await site.run({"id": "hero", "prompt": "An old hero"})
    return site.output


def copies(folder: Path, sandbox: Sandbox, output: Path) -> Iterator[Site]:
    """One site after the other, each beginning where the prepared one stands."""
    number = 0
    while True:
        number += 1
        site = Site(folder / str(number), sandbox)
        shutil.copytree(output, site.output)
        yield site
        shutil.rmtree(site.folder)


async def attempt(site: Site) -> int:
    """Run the job; its exit code. Anything but a documented end is an error."""
    try:
        return (await site.run(*PROMPTS)).exit_code
    except StorageFailed as error:
        return error.exit_code


async def check(site: Site, before: int) -> None:
    """The next run finishes without paying for anything again."""
    assert await attempt(site) == 0
    assert site.sandbox.request_log.count() - before == len(PROMPTS), "something was paid for twice"
    assert site.billed() == (1 + 2 + 1 + 1) * 126_000
    assert verify(site.output).sound
    assert len(site.pictures()) == 4, "something was left behind"


@pytest.mark.timeout(count(120, 1800))
@pytest.mark.parametrize(
    ("call", "number", "sticky"),
    [
        pytest.param(call, number, sticky, id=f"{call}-{errno.errorcode[number]}-{'for good' if sticky else 'once'}")
        for call, numbers in ERRORS.items()
        for number in numbers[: count(2, 9)]
        for sticky in (False, True)
        if not (sticky and number == errno.EINTR)
    ],
)
async def test_whatever_call_fails_the_next_run_finishes_and_pays_for_nothing_again(
    tmp_path: Path, call: str, number: int, sticky: bool
) -> None:
    async with Sandbox() as sandbox:
        output = await prepared(tmp_path, sandbox)
        for nth, site in enumerate(copies(tmp_path, sandbox, output), 1):
            before = sandbox.request_log.count()
            with Injector(site.output, call, number, nth, sticky=sticky).active() as injector:
                code = await attempt(site)
            assert code in (0, 6), f"exit code {code} when {call} number {nth} failed"
            assert paid(site) == billed(site, before), f"a claim was not kept when {call} number {nth} failed"
            await check(site, before)
            if not injector.struck:
                break
    assert nth > 1, f"nothing calls os.{call}"


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "for good"])
async def test_a_write_that_takes_only_a_part_is_carried_on(tmp_path: Path, sticky: bool) -> None:
    async with Sandbox() as sandbox:
        output = await prepared(tmp_path, sandbox)
        for nth, site in enumerate(copies(tmp_path, sandbox, output), 1):
            before = sandbox.request_log.count()
            with Injector(site.output, "write", SHORT, nth, sticky=sticky).active() as injector:
                assert await attempt(site) == 0
            await check(site, before)
            if not injector.struck:
                break
    assert nth > 1


async def test_signals_that_interrupt_every_call_are_no_fault(tmp_path: Path) -> None:
    over = threading.Event()

    def interrupt() -> None:
        while not over.wait(0.0005):
            for thread in threading.enumerate():
                if thread.ident:
                    signal.pthread_kill(thread.ident, signal.SIGUSR1)

    count = 0

    def handle(*_: Any) -> None:
        nonlocal count
        count += 1

    before = signal.signal(signal.SIGUSR1, handle)
    interrupting = threading.Thread(target=interrupt)
    try:
        async with Sandbox() as sandbox:
            site = Site(tmp_path, sandbox)
            interrupting.start()
            assert await attempt(site) == 0
            over.set()
            interrupting.join()
            assert count > 10
            assert len(sandbox.request_log.requests()) == len(PROMPTS)
            assert verify(site.output).sound
    finally:
        over.set()
        signal.signal(signal.SIGUSR1, before)


class Flaky:
    """Lets the Nth step inside SQLite fail, as a real error of SQLite's own."""

    def __init__(self, nth: int, *, sticky: bool) -> None:
        self._left = nth
        self._sticky = sticky
        self.struck = 0

    def __call__(self) -> int:
        self._left -= 1
        strikes = self._left == 0 or (self._sticky and self._left < 0)
        self.struck += strikes
        return int(strikes)


@pytest.mark.timeout(count(120, 1800))
@pytest.mark.parametrize("sticky", [False, True], ids=["once", "for good"])
async def test_whatever_step_of_the_ledger_fails_what_was_paid_is_kept_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sticky: bool
) -> None:
    begin, commit = GroupCommit._begin, GroupCommit._commit
    steps = count(60, 1)
    async with Sandbox() as sandbox:
        output = await prepared(tmp_path, sandbox)
        for round_, site in enumerate(copies(tmp_path, sandbox, output)):
            before = sandbox.request_log.count()
            flaky = Flaky(1 + round_ * steps, sticky=sticky)

            def flaky_begin(committer: GroupCommit, batch: Any, patience: float, flaky: Flaky = flaky) -> None:
                committer._connection.set_progress_handler(flaky, 1)
                begin(committer, batch, patience)

            def flaky_commit(committer: GroupCommit, batch: Any, flaky: Flaky = flaky) -> None:
                committer._connection.set_progress_handler(flaky, 1)
                try:
                    commit(committer, batch)
                finally:
                    committer._connection.set_progress_handler(None, 1)

            with monkeypatch.context() as patch:
                patch.setattr(GroupCommit, "_begin", flaky_begin)
                patch.setattr(GroupCommit, "_commit", flaky_commit)
                code = await attempt(site)
            assert code in (0, 6), f"exit code {code} when step {1 + round_ * steps} failed"
            assert await attempt(site) == 0
            assert verify(site.output).sound
            sent = sandbox.request_log.requests()[before:]
            assert {row.client_request_id for row in sent} <= known(site), (
                "a request left that the ledger does not know"
            )
            assert site.billed() == 126_000 + sum(row.credits for row in sent), "a bill is not in the books"
            if not flaky.struck:
                break
    assert round_ > 0


def known(site: Site, where: str = "") -> set[str]:
    """The ids of all attempts that the ledger knows."""
    with closing(sqlite3.connect(site.output / ".pipeline" / "ledger.db")) as connection:
        return {name for (name,) in connection.execute(f"SELECT id FROM attempts {where}")}


def paid(site: Site) -> set[str]:
    """The ids of the attempts whose answers the ledger holds, but for the one that made the picture before."""
    return known(site, "WHERE state = 'paid' AND seq > 1")


def billed(site: Site, before: int) -> set[str]:
    """By the sandbox's books: the ids of the attempts that were billed since so many requests."""
    return {row.client_request_id or "" for row in site.sandbox.request_log.requests()[before:] if row.credits}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a limit that a process sets for itself")
async def test_a_ledger_that_is_full_stops_the_run_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = writing.Ledger.__init__
    async with Sandbox() as sandbox:
        site = Site(tmp_path, sandbox)
        await site.run("An old hero")

        def full(ledger: writing.Ledger, path: Path) -> None:
            opened(ledger, path)
            (pages,) = ledger._writer.execute("PRAGMA page_count").fetchone()
            ledger._writer.execute(f"PRAGMA max_page_count = {pages}")

        monkeypatch.setattr(writing.Ledger, "__init__", full)
        summary = await site.run(*(f"Fox {number} " + "very " * 60 for number in range(40)))
        assert summary.exit_code == 6
        assert "full" in (summary.reason or "")
        monkeypatch.setattr(writing.Ledger, "__init__", opened)
        assert (await site.run()).exit_code == 0
        assert site.billed() == sandbox.request_log.billed_credits()
