"""The power fails at every step of a run: nothing that was paid for is forgotten, and nothing torn is called saved."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from pipeline.sandbox import Sandbox
from tests.faults.power import Event, Recorder, crash, faults_of
from tests.faults.scale import count
from tests.runs.site import Site

STATES = count(50_000, 2_000_000)

Trace = list[Event]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """What a real run does, step by step."""

    async def record(folder: Path) -> Trace:
        async with Sandbox() as sandbox:
            site = Site(folder, sandbox)
            recorder = Recorder(site.output)
            with recorder.recording():
                summary = await site.run("A fox", {"prompt": "A crow", "count": 2}, "A hare", limits={"concurrency": 2})
            assert summary.exit_code == 0
            return recorder.trace

    return anyio.run(record, tmp_path_factory.mktemp("power"))


def bad_states(trace: Trace, states: int) -> list[str]:
    """The faults on so many disks that crashes at all moments may leave."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    found: list[str] = []
    for number in range(states):
        before = trace[: number % (len(trace) + 1)]
        found += faults_of(before, crash(before, chance, keep=chance.choice((0.0, 0.5, 1.0))))
    return found


def test_the_trace_has_every_step_of_the_way(trace: Trace) -> None:
    kinds = [event.kind for event in trace]
    assert kinds.count("post") == 3
    assert kinds.count("get") == 4
    assert sum(event.kind == "rename" and event.name.endswith(".png") for event in trace) == 4
    assert {"create", "write", "sync", "folder", "ledger"} <= set(kinds)
    assert len(trace[-1].saved or next(e.saved for e in reversed(trace) if e.kind == "ledger")) == 4


@pytest.mark.timeout(count(120, 1800))
def test_no_crash_leaves_a_bad_disk(trace: Trace) -> None:
    assert bad_states(trace, STATES) == []


def without(kind: str) -> Callable[[Trace], Trace]:
    return lambda trace: [event for event in trace if event.kind != kind]


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
    fetched = 0
    found: Trace = []
    for event in trace:
        fetched += event.kind == "get"
        found.append(replace(event, paid=event.paid if fetched == 4 else ""))
    return found


def never_paid(trace: Trace) -> Trace:
    return [replace(event, paid="") for event in trace]


@pytest.mark.parametrize(
    "mutant",
    [
        without("sync"),
        without("folder"),
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
        "no ledger",
        *("renamed early", "saved early", "intended late"),
        "never intended",
        "paid late",
        "never paid",
    ],
)
def test_a_program_that_leaves_out_or_swaps_a_step_is_caught(trace: Trace, mutant: Callable[[Trace], Trace]) -> None:
    assert bad_states(mutant(trace), 3_000)
