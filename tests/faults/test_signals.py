"""Ctrl-C, SIGTERM, and two runs at once."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults.program import attempts, billed, run, sandbox, start, wait_for, write_job


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_what_is_in_flight_and_loses_nothing(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    output, state = tmp_path / "out", tmp_path / "sandbox"
    with sandbox(state, "--latency", "0.2") as base:
        job = write_job(tmp_path, base, 60)
        process = start("run", job, "--json")
        wait_for(output, "paid", 8)
        process.send_signal(number)
        sent = len(billed(state))
        out, err = process.communicate(timeout=30)
        assert process.returncode == code
        assert number.name in err
        assert len(billed(state)) <= sent + 8, "requests were sent after the signal"
        summary = json.loads(out)
        assert summary["exit_code"] == code
        assert summary["maybe_billed"] == []
        assert summary["pending"] > 0
        assert set(billed(state)) == attempts(output, "paid"), "an answer that was paid for was thrown away"
        assert summary["saved"] == 2 * len(billed(state)), "a picture that was paid for was not fetched"
        assert run("run", job).returncode == 0
        assert len(billed(state)) == 60, "something was bought twice"


def test_a_second_signal_stops_at_once_and_names_what_may_have_been_billed(tmp_path: Path) -> None:
    output, state = tmp_path / "out", tmp_path / "sandbox"
    with sandbox(state, "--fault", "hang") as base:
        process = start("run", write_job(tmp_path, base, 4), "--json")
        wait_for(output, "intent", 4)
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 130
        named = {maybe["client_request_id"] for maybe in json.loads(out)["maybe_billed"]}
        assert named == attempts(output, "maybe")
        assert set(billed(state)) <= named
        assert len(named) == 4


def test_the_grace_time_ends_the_wait_for_answers_that_do_not_come(tmp_path: Path) -> None:
    output, state = tmp_path / "out", tmp_path / "sandbox"
    with sandbox(state, "--fault", "hang") as base:
        process = start("run", write_job(tmp_path, base, 2, grace=0.1), "--json")
        wait_for(output, "intent", 2)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 143
    assert len(json.loads(out)["maybe_billed"]) == 2


def test_the_second_run_on_a_folder_names_the_first_and_touches_nothing(tmp_path: Path) -> None:
    output, state = tmp_path / "out", tmp_path / "sandbox"
    with sandbox(state, "--latency", "0.3") as base:
        job = write_job(tmp_path, base, 16)
        first = start("run", job)
        wait_for(output, "intent", 1)
        first.send_signal(signal.SIGSTOP)  # so that it does not end before the others have looked
        second = run("run", job)
        assert second.returncode == 11
        assert str(first.pid) in second.stderr
        assert os.uname().nodename in second.stderr
        assert "Traceback" not in second.stderr
        assert run("status", output).returncode in (0, 2), "reading needs no lock"
        assert run("plan", job).returncode == 0, "reading needs no lock"
        first.send_signal(signal.SIGCONT)
        first.communicate(timeout=30)
        assert first.returncode == 0
    assert len(billed(state)) == 16
