"""The rules by which a job lives, and what must hold after each of its nights."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from pipeline import Selection, Summary
from pipeline.ledger import LedgerReader
from sandbox import Behaviour, Fault, Sandbox
from tests.state_machine.night import Moment, Night, Result, run
from tests.state_machine.shop import PRICE, Entry, Image, Shop, Wanted, chosen

NAMES = ("ant", "bee", "cat")
"""The entries that may stand in the job file."""

ROWS = tuple(f"row{number}" for number in range(12))
"""Those that may stand in its list."""

FAULTS: dict[str, tuple[str, ...]] = {
    "none": (),
    "the provider is down": ("500",),
    "answers are lost": ("reset-after-billing",),
    "answers are cut": ("cut",),
    "answers hold nothing": ("empty",),
    "answers are short": ("short",),
    "requests are refused": ("400",),
    "prompts are refused": ("moderated",),
    "pictures are not there": ("cdn-404",),
    "pictures are damaged": ("cdn-bit-flip",),
    "pictures have another shape": ("cdn-wrong-size",),
    "the CDN is down": ("cdn-503",),
    "the CDN is down and URLs expire": ("signed-url", "cdn-503"),
    "URLs expire": ("signed-url",),
}
"""What may be wrong with the upstream, each a number of kinds at once."""

entries = st.builds(Entry, version=st.integers(0, 2), count=st.integers(1, 4))
selections = st.builds(
    Selection,
    only=st.sampled_from([(), (), ("ant*",), ("row1*", "bee*")]),
    limit=st.none() | st.integers(1, 6),
    force=st.booleans(),
    retry_failed=st.booleans(),
)
budgets = st.none() | st.integers(0, 8).map(lambda images: images * PRICE + 1)
kinds = st.sampled_from(("commit", "post", "record"))
kills = st.builds(Moment, kinds, st.integers(1, 12))
edits = st.just(Moment("counted")) | st.builds(Moment, kinds, st.integers(1, 6))
around = {
    "fault": st.just("none") | st.sampled_from(sorted(FAULTS)),
    "strikes": st.none() | st.none() | st.integers(1, 4),
    "concurrency": st.integers(1, 4),
    "downloads": st.sampled_from([1, 16]),
}
"""What every night has, whatever is asked of it."""


class Nights(RuleBasedStateMachine):
    """Edit the job, edit its list, harm its files, harm its upstream, and run it, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._open, self._closing = AsyncExitStack(), ExitStack()
        folder = Path(tempfile.mkdtemp(prefix="nights-"))
        self._closing.callback(shutil.rmtree, folder)
        self._runner = self._closing.enter_context(asyncio.Runner())
        sandbox = self._runner.run(self._open.enter_async_context(Sandbox()))
        self.shop = Shop(folder, sandbox)
        self._after_a_kill = False
        self._last: Night | None = None

    def teardown(self) -> None:
        self._runner.run(self._open.aclose())
        self._closing.close()

    @initialize(count=st.integers(1, 4), rows=st.integers(1, len(ROWS)))
    def begin(self, count: int, rows: int) -> None:
        self.shop.wanted = Wanted({"ant": Entry(0, count)}, dict.fromkeys(ROWS[:rows], Entry()))
        self.shop.write()

    # What people do.

    @rule(name=st.sampled_from(NAMES), entry=entries)
    def edit_the_job(self, name: str, entry: Entry) -> None:
        self.shop.wanted.entries[name] = entry
        self.shop.write()

    @rule(name=st.sampled_from(NAMES[1:]))
    def remove_from_the_job(self, name: str) -> None:
        self.shop.wanted.entries.pop(name, None)
        self.shop.write()

    @rule(names=st.lists(st.sampled_from(ROWS), min_size=1, unique=True), version=st.integers(0, 1))
    def edit_the_list(self, names: list[str], version: int) -> None:
        """These rows, in this order, the first of them in this version."""
        self.shop.wanted.rows = {name: Entry(version if name == names[0] else 0) for name in names}
        self.shop.write()

    @rule(number=st.integers(0, 20), harm=st.sampled_from(["delete", "cut", "flip", "empty"]))
    def harm_a_file(self, number: int, harm: str) -> None:
        files = self.shop.files() if self.shop.output.exists() else []
        if files:
            _harm(files[number % len(files)], harm)

    # What the program does.

    @rule(night=st.builds(Night, **around))
    def run_all(self, night: Night) -> None:
        self.run(night)

    @rule(night=st.builds(Night, selection=selections, budget=budgets, **around))
    def run_a_part(self, night: Night) -> None:
        self.run(night)

    @rule(night=st.builds(Night, selection=st.just(Selection()) | selections, kill=kills, **around))
    def run_and_kill(self, night: Night) -> None:
        self.run(night)

    @rule(night=st.builds(Night, edit=edits, **around))
    def run_while_it_is_edited(self, night: Night) -> None:
        self.run(night)

    @rule()
    def run_as_the_night_before(self) -> None:
        """Nothing of the job has changed for it, unless somebody has edited it."""
        if self._last is not None:
            self.run(replace(self._last, fault="none", kill=None, edit=None))

    def run(self, night: Night) -> None:
        """Run the job once, and see that all that is promised of a run has held."""
        shop, wanted, before = self.shop, self.shop.wanted.images(), self.shop.sandbox.request_log.count()
        sound = {image for image in shop.sound() if image in wanted}
        kinds = FAULTS[night.fault]
        shop.sandbox.behaviour = Behaviour(faults=tuple(Fault(kind, times=night.strikes) for kind in kinds))
        result, self._last = self.run_once(night), night
        self.check_limit(night, before, result.summary)
        self.check_budget(night, before)
        self.check_breaker(night, result)
        killed = result.summary is None and not result.refused
        self.check_sound_stays_sound(sound, killed=killed)
        if result.refused:
            assert shop.sandbox.request_log.count() == before, "a run that refused to begin sent something"
        if result.summary is not None:
            self.check_exit_0(night, wanted, sound, result.summary)
            self.check_books()
            self.check_receipts(night, wanted, result.summary)
        self._after_a_kill = killed or (self._after_a_kill and result.refused)

    def run_once(self, night: Night) -> Result:
        """Let a night pass; that of a killed run ends with its cancellation."""
        return self._runner.run(run(self.shop, night, self._edit_meanwhile))

    def _edit_meanwhile(self) -> None:
        """Somebody puts new rows first, and makes more of an entry."""
        wanted = self.shop.wanted
        first = max((entry.version for entry in wanted.rows.values()), default=0) + 1
        wanted.rows = {**dict.fromkeys(ROWS[:2], Entry(first)), **wanted.rows}
        for name in ROWS[:2]:
            wanted.rows[name] = Entry(first)
        ant = wanted.entries["ant"]
        wanted.entries["ant"] = replace(ant, version=ant.version + 1)
        self.shop.write()

    # What must hold.

    def check_exit_0(self, night: Night, wanted: dict[Image, str], before: set[Image], summary: Summary) -> None:
        """Exit 0 means that nothing wanted is missing; under a limit, that as much was made as it allows."""
        if summary.exit_code:
            return
        images = chosen(wanted, night.selection).keys()
        missing, allowed = images - self.shop.sound(), 0
        if night.selection.limit is not None:
            allowed = max(0, len(images - before) - night.selection.limit)
            if night.selection.force:
                allowed = len(images - before)  # the limit may have gone into what was there
        assert len(missing) <= allowed, f"exit 0, and these are missing: {sorted(missing)}"

    def check_sound_stays_sound(self, before: set[Image], *, killed: bool) -> None:
        """A sound picture that was paid for never turns `failed`, nor is it ever lost without another in its place."""
        records = self.shop.records()
        failed = {image for image in before if image in records and records[image].status == "failed"}
        assert not failed, f"these were sound, and are called failed: {sorted(failed)}"
        still_wanted = self.shop.wanted.images().keys()
        lost = set() if killed else (before & still_wanted) - self.shop.sound()
        assert not lost, f"these were sound, and are not any more: {sorted(lost)}"

    def check_limit(self, night: Night, posts: int, summary: Summary | None) -> None:
        """No more images are brought home, nor bought, than the limit allows."""
        limit = night.selection.limit
        if limit is None:
            return
        made = summary.made if summary else 0
        assert made <= limit, f"{made} images were brought home under a limit of {limit}"
        bought = self.shop.bought(posts)
        answered = self.shop.answered(bought) if bought else 0
        assert answered <= limit, f"{answered} images were bought under a limit of {limit}"

    def check_budget(self, night: Night, posts: int) -> None:
        """No more money is spent than the budget allows."""
        if night.budget is not None:
            spent = sum(row.credits for row in self.shop.bought(posts))
            assert spent <= night.budget, f"{spent} tokens were spent under a budget of {night.budget}"

    def check_breaker(self, night: Night, result: Result) -> None:
        """Once the breaker has opened, only what is in flight arrives, and one probe."""
        if result.opened_at is None or (night.fault, night.strikes) != ("the provider is down", None):
            return
        after = self.shop.sandbox.request_log.count() - result.opened_at
        assert after <= night.concurrency + 1, f"{after} requests were sent after the breaker had opened"

    def check_books(self) -> None:
        """What the ledger says was billed is what was billed; what is unresolved may have been."""
        billed = self.shop.sandbox.request_log.billed_credits()
        if not self.shop.ledger.exists():
            assert not billed, "there is no ledger of what was billed"
            return
        with LedgerReader(self.shop.ledger) as ledger:
            books = ledger.books()
        assert books.billed - books.unresolved <= billed <= books.billed, f"{billed} billed, the ledger says {books}"

    def check_receipts(self, night: Night, wanted: dict[Image, str], summary: Summary) -> None:
        """After a plain run, each picture is the latest that was paid for, by a run that was killed too."""
        if self._after_a_kill and night.selection == Selection() and night.fault == "none" and summary.exit_code == 0:
            left = sorted(self.shop.undelivered(wanted))
            assert not left, f"paid for, and not delivered: {left}"


def _harm(file: Path, harm: str) -> None:
    if harm == "delete":
        file.unlink()
        return
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    if data and harm == "flip":
        data[middle] ^= 1
    elif harm != "flip":
        del data[middle if harm == "cut" else 0 :]
    file.write_bytes(data)


Steps = Callable[[Any], object]


def play(*steps: Steps, kind: type[Nights] = Nights) -> None:
    """Play these steps on a machine that has just begun with one image of an entry and one of a row."""
    machine = kind()
    try:
        machine.begin(count=1, rows=1)
        for step in steps:
            step(machine)
    finally:
        machine.teardown()
