"""The power fails at every step of a run: nothing that was paid for is forgotten, and nothing torn is called saved."""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.errors import StorageFailed
from pipeline.ledger import Ledger
from sandbox import Sandbox
from tests.faults.power import OUTPUT, STATE, Event, Recorder, Replay, faults_of
from tests.faults.scale import count
from tests.run.site import Site, faults

STATES = count(20_000, 1_000_000)

PROMPTS: tuple[Any, ...] = ("A fox", {"prompt": "A crow", "count": 2}, {"id": "hero", "prompt": "A new hero"})
"""The last one takes the name of a picture that is there already, which is kept aside."""

Trace = list[Event]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """What a real run does, step by step."""

    async def record(folder: Path) -> Trace:
        async with Sandbox() as sandbox:
            site = Site(folder, sandbox)
            recorder = Recorder(site.folder)
            with recorder.recording():
                await site.run({"id": "hero", "prompt": "An old hero"})
                await site.run(*PROMPTS, limits={"concurrency": 2})
            assert site.summary
            assert site.summary.exit_code == 0
            assert len(site.replaced()) == 1
            return recorder.trace

    return anyio.run(record, tmp_path_factory.mktemp("power"))


def bad_states(trace: Trace, states: int) -> list[str]:
    """The faults on so many disks that crashes at all moments may leave."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    found: list[str] = []
    replay = Replay()
    for number in range(len(trace) + 1):
        before = trace[:number]
        for _ in range(math.ceil(states / (len(trace) + 1))):
            found += faults_of(before, replay.crash(chance, keep=chance.choice((0.0, 0.5, 1.0))))
        if number < len(trace):
            replay.step(trace[number])
    return found


def test_the_trace_has_every_step_of_the_way(trace: Trace) -> None:
    kinds = [event.kind for event in trace]
    assert kinds.count("post") == 4
    assert kinds.count("get") == 5
    assert sum(event.kind == "rename" and event.name.endswith(".png") for event in trace) == 5
    assert {"create", "write", "sync", "folder", "ledger", "mkdir", "link", "unlink"} <= set(kinds)
    assert len(next(event.saved for event in reversed(trace) if event.kind == "ledger")) == 5


@pytest.mark.timeout(count(120, 1800))
def test_no_crash_leaves_a_bad_disk(trace: Trace) -> None:
    assert bad_states(trace, STATES) == []


def without(kind: str) -> Callable[[Trace], Trace]:
    return lambda trace: [event for event in trace if event.kind != kind]


def without_folder(name: str) -> Callable[[Trace], Trace]:
    return lambda trace: [event for event in trace if (event.kind, event.name) != ("folder", name)]


def renamed_before_it_was_synced(trace: Trace) -> Trace:
    found = list(trace)
    for number, event in enumerate(trace):
        before = [n for n in range(number) if trace[n].kind == "sync" and trace[n].name == event.old]
        if event.kind == "rename" and before:
            found[before[-1]], found[number] = event, Event("sync", event.name)
    return found


def saved_before_it_was_renamed(trace: Trace) -> Trace:
    found: Trace = []
    for number, event in enumerate(trace):
        if event.kind == "rename":
            saving = next((later for later in trace[number:] if event.name in later.saved), None)
            found += [saving] if saving else []
        found.append(event)
    return found


def intended_after_the_post(trace: Trace) -> Trace:
    sent: set[str] = set()
    found: Trace = []
    for event in trace:
        if event.kind == "post":
            sent.add(event.name)
        known = {name: state for name, state in event.attempts.items() if state != "intent" or name in sent}
        found.append(replace(event, attempts=known))
    return found


def never_intended(trace: Trace) -> Trace:
    return [
        replace(event, attempts={name: state for name, state in event.attempts.items() if state != "intent"})
        for event in trace
    ]


def paid_after_the_get(trace: Trace) -> Trace:
    left = sum(event.kind == "get" for event in trace)
    found: Trace = []
    for event in trace:
        left -= event.kind == "get"
        found.append(replace(event, paid="" if left else event.paid))
    return found


def never_paid(trace: Trace) -> Trace:
    return [replace(event, paid="") for event in trace]


@pytest.mark.parametrize(
    "mutant",
    [
        without("sync"),
        without("folder"),
        without_folder(OUTPUT),
        without_folder("."),
        without_folder(STATE),
        without_folder(f"{STATE}/replaced"),
        without("link"),
        without("ledger"),
        renamed_before_it_was_synced,
        saved_before_it_was_renamed,
        intended_after_the_post,
        never_intended,
        paid_after_the_get,
        never_paid,
    ],
    ids=[
        "no file is synced",
        "no folder is synced",
        *("the output folder is not", "the one above is not", "the state folder is not", "the kept ones' is not"),
        *("nothing is kept aside", "no ledger"),
        *("renamed early", "saved early", "intended late"),
        "never intended",
        "paid late",
        "never paid",
    ],
)
def test_a_program_that_leaves_out_or_swaps_a_step_is_caught(trace: Trace, mutant: Callable[[Trace], Trace]) -> None:
    assert bad_states(mutant(trace), 3_000)


async def test_a_power_cut_between_a_rename_and_its_row_is_no_reason_to_pay_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: Any) -> None:
        raise StorageFailed("the power was cut")

    await site.run({"id": "fox", "prompt": "A fox"})
    with monkeypatch.context() as until:
        until.setattr(Ledger, "renamed", cut)
        assert (await site.run({"id": "renard", "prompt": "A fox"})).exit_code == 6
    assert set(site.pictures()) == {"fox.png", "renard.png"}
    # By the next night its URL has expired.
    site.sandbox.behaviour = faults("cdn-404")
    assert await site.asks() == 0, "the picture is on the disk, and was paid for again"
