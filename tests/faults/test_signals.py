"""Ctrl-C, SIGTERM and the other signals to stop, a terminal that is closed, and two runs at once."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults.program import attempts, billed, run, sandbox, start, start_in_terminal, wait_for, write_job

CODES = {signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGQUIT: 131, signal.SIGTERM: 143}


@pytest.mark.parametrize(("number", "code"), CODES.items(), ids=lambda value: getattr(value, "name", ""))
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


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGHUP, signal.SIGHUP),
        (signal.SIGQUIT, signal.SIGTERM),
        (signal.SIGTERM, signal.SIGHUP),
        (signal.SIGHUP, signal.SIGQUIT),
    ],
    ids=lambda number: number.name,
)
def test_a_second_signal_of_any_kind_stops_at_once_and_names_what_may_have_been_billed(
    tmp_path: Path, first: signal.Signals, second: signal.Signals
) -> None:
    output, state = tmp_path / "out", tmp_path / "sandbox"
    with sandbox(state, "--fault", "hang") as base:
        process = start("run", write_job(tmp_path, base, 4), "--json")
        wait_for(output, "intent", 4)
        assert process.stderr is not None
        process.send_signal(first)
        assert process.stderr.readline().startswith(f"{first.name}: finishing what is in flight")
        process.send_signal(second)
        out, _ = process.communicate(timeout=30)
        assert process.returncode == CODES[first]
        named = {maybe["client_request_id"] for maybe in json.loads(out)["maybe_billed"]}
        assert named == attempts(output, "maybe")
        assert set(billed(state)) <= named
        assert len(named) == 4


def test_under_nohup_a_run_outlives_its_terminal(tmp_path: Path) -> None:
    output, state = tmp_path / "out", tmp_path / "sandbox"
    with sandbox(state, "--latency", "0.1") as base:
        process = start("run", write_job(tmp_path, base, 16), under=["nohup"])
        wait_for(output, "paid", 1)
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=30)
        assert process.returncode == 0
        assert len(billed(state)) == 16


@pytest.mark.parametrize(
    ("options", "again"),
    [((), None), ((), signal.SIGHUP), (("--quiet",), None), (("--json",), None)],
    ids=["bar", "passed on by a shell", "quiet", "json"],
)
def test_a_terminal_that_is_closed_finishes_what_is_in_flight_and_loses_nothing(
    tmp_path: Path, options: tuple[str, ...], again: signal.Signals | None
) -> None:
    """Nobody sees the bar and the notes any more. A shell passes the hang-up on, so that it comes twice."""
    output, state = tmp_path / "out", tmp_path / "sandbox"
    with sandbox(state, "--latency", "0.2") as base:
        job = write_job(tmp_path, base, 30)
        process, terminal = start_in_terminal("run", job, *options)
        wait_for(output, "paid", 4)
        sent = len(billed(state))
        os.close(terminal)
        if again:
            time.sleep(0.01)
            process.send_signal(again)
        assert process.wait(30) == 129
        assert len(billed(state)) <= sent + 8, "requests were sent after the hang-up"
        assert attempts(output, "intent") == attempts(output, "maybe") == set(), "an answer was not waited for"
        assert set(billed(state)) == attempts(output, "paid")
        assert run("run", job).returncode == 0
        assert len(billed(state)) == 30, "something was bought twice"


def test_what_was_said_before_the_terminal_was_closed_is_in_the_file_it_went_to(tmp_path: Path) -> None:
    output, said = tmp_path / "out", tmp_path / "said"
    with sandbox(tmp_path / "sandbox", "--latency", "0.2") as base:
        process, terminal = start_in_terminal("run", write_job(tmp_path, base, 60), "--json", said=said)
        wait_for(output, "paid", 4)
        os.close(terminal)
        assert process.wait(30) == 129
    summary = json.loads(said.read_text())
    assert (summary["exit_code"], summary["reason"]) == (129, "stopped by SIGHUP")
    assert summary["saved"] == 2 * len(attempts(output, "paid"))


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
