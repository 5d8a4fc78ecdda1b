"""Many signals to stop one after the other, and two runs at the same moment."""

import random
import signal
import subprocess
from pathlib import Path

import pytest

from tests.faults.program import attempts, billed, run, sandbox, start, wait_for, write_job
from tests.faults.scale import count

TERMS = count(15, 150)
"""In each of two groups."""

SIGNALS = (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Half of them what a scheduler sends."""

PAIRS = count(10, 100)
"""The same."""


@pytest.mark.timeout(count(300, 3600))
@pytest.mark.parametrize("group", range(2))
def test_a_run_that_is_told_to_stop_loses_no_answer_and_buys_nothing_twice(tmp_path: Path, group: int) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}, group {group}")
    moments = random.Random(seed)
    output, state = tmp_path / "out", tmp_path / "sandbox"
    items, codes = count(120, 1200), set()
    with sandbox(state, "--latency", "0.2", "--latency-jitter", "0.2") as base:
        job = write_job(tmp_path, base, items, on_unknown_outcome="hold", retry_paid_budget_usd=0)
        for _ in range(TERMS):
            before = len(attempts(output, "paid"))
            process = start("run", job)
            if before < items:
                wait_for(output, "paid", min(items, before + moments.randrange(9)))
            process.send_signal(moments.choice(SIGNALS))
            process.communicate(timeout=30)
            codes.add(process.returncode)
            assert attempts(output, "intent") == attempts(output, "maybe") == set(), "an answer was not waited for"
        assert run("run", job).returncode == 0
        assert run("audit", job).returncode == 0
    # Before the program listens, and once it has nothing more to do, the signal ends it as it ends any other.
    assert codes <= {0, *(128 + number for number in SIGNALS), *(-number for number in SIGNALS)}
    assert len(billed(state)) == items, "something was bought twice"
    assert set(billed(state).values()) == {1}


@pytest.mark.timeout(count(300, 3600))
@pytest.mark.parametrize("group", range(2))
def test_of_two_runs_at_the_same_moment_one_works_and_the_other_names_it(tmp_path: Path, group: int) -> None:
    state, items = tmp_path / "sandbox", 6
    with sandbox(state, "--latency", "0.3") as base:
        for number in range(PAIRS):
            folder = tmp_path / f"pair-{group}-{number}"
            folder.mkdir()
            job = write_job(folder, base, items)
            pair = [start("run", job) for _ in range(2)]
            told = [process.communicate(timeout=40) for process in pair]
            codes = [process.returncode for process in pair]
            assert sorted(codes) == [0, 11], told
            loser = codes.index(11)
            assert str(pair[1 - loser].pid) in told[loser][1]
            assert len(billed(state)) == items * (number + 1), "an item was bought by both"


def test_a_stopped_run_can_be_continued_by_a_signal_without_harm(tmp_path: Path) -> None:
    output, state = tmp_path / "out", tmp_path / "sandbox"
    with sandbox(state, "--latency", "0.1") as base:
        process = start("run", write_job(tmp_path, base, 24))
        wait_for(output, "paid", 4)
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert len(billed(state)) == 24
