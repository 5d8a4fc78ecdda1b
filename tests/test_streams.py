"""What is said can't be heard, or not in these letters: the work and its exit code stand all the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(f"endpoint: sandbox\noutput: {tmp_path / 'out'}\nprompts: [cat, 'füx 日本']\n")
    return path


def shell(command: str, job: Path, **environ: str) -> "subprocess.CompletedProcess[bytes]":
    """A command line; `RUN` stands for the program, `JOB` for the job."""
    line = command.replace("RUN", f"{sys.executable} -m pipeline").replace("JOB", str(job))
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, timeout=50, check=False, env={**os.environ, **environ}
    )


@pytest.mark.parametrize(
    "command",
    [
        "RUN run JOB 2>&-",
        "RUN run JOB >&- 2>&-",
        "RUN run JOB >/dev/full",
        "RUN run JOB --json >/dev/full",
        "RUN run JOB 2>/dev/full",
        "RUN run JOB | true; exit ${PIPESTATUS[0]}",
    ],
)
def test_a_run_is_worth_what_it_made_whoever_listens(job: Path, command: str) -> None:
    done = shell(command, job)
    assert done.returncode == 0, done.stderr
    assert b"mistake" not in done.stdout + done.stderr
    assert len(list((job.parent / "out").glob("*.png"))) == 2


@pytest.mark.parametrize(
    "command",
    [
        "RUN run none.yaml --json >/dev/full",
        "RUN run none.yaml 2>/dev/full",
        "RUN run none.yaml --json | true; exit ${PIPESTATUS[0]}",
    ],
)
def test_an_error_that_nobody_hears_has_its_exit_code_and_no_traceback(job: Path, command: str) -> None:
    done = shell(command, job)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_a_plan_that_cannot_be_written_is_local_trouble(job: Path) -> None:
    done = shell("RUN plan JOB >/dev/full", job)
    assert done.returncode == 6
    assert b"standard output can't be written: No space left" in done.stderr


def test_letters_that_a_terminal_does_not_know_are_escaped(job: Path) -> None:
    done = shell("RUN plan JOB", job, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"f\\xfcx \\u65e5" in done.stdout


def test_an_empty_output_is_a_variable_that_was_not_set(job: Path) -> None:
    done = shell('RUN run JOB --output ""', job)
    assert done.returncode == 2
    assert b"it is empty: name a folder" in done.stderr


def test_a_manifest_that_cannot_be_written_is_found_out_before_anything_is_paid_for(job: Path) -> None:
    assert shell("RUN run JOB --quiet --only cat*", job).returncode == 0
    manifest = job.parent / "out" / "manifest.jsonl"
    manifest.unlink()
    manifest.mkdir()
    done = shell("RUN run JOB", job)
    assert done.returncode == 6
    assert b"manifest.jsonl is a folder" in done.stderr
    assert len(list((job.parent / "out").glob("*.png"))) == 1


@pytest.mark.parametrize(
    "change",
    [
        's/"bytes":[0-9]*/"bytes":"x"/',
        's/"index":0/"index":[]/',
        's/"path":"[^"]*"/"path":true/',
        's/"usd":[0-9.]*/"usd":NaN/',
    ],
)
def test_an_edited_line_of_a_manifest_is_a_broken_one(job: Path, change: str) -> None:
    assert shell("RUN run JOB --quiet", job).returncode == 0
    manifest = job.parent / "out" / "manifest.jsonl"
    for verb in ("status", "verify"):
        done = shell(f"sed -i '{change}' {manifest}; RUN {verb} JOB", job)
        assert done.returncode == 0, done.stderr
        assert b"mistake" not in done.stderr


@pytest.mark.parametrize("lost", ["rm LEDGER-wal LEDGER-shm; : > LEDGER", "truncate -s 1 LEDGER"])
def test_a_ledger_that_has_lost_what_the_manifest_speaks_of_is_no_reason_to_pay_again(job: Path, lost: str) -> None:
    assert shell("RUN run JOB --quiet", job).returncode == 0
    ledger = job.parent / "out" / ".pipeline" / "ledger.db"
    done = shell(f"{lost.replace('LEDGER', str(ledger))} 2>/dev/null; RUN run JOB", job)
    assert done.returncode == 6, done.stdout
    assert b"ledger" in done.stderr


def test_an_older_copy_of_a_ledger_is_no_reason_to_pay_again(job: Path) -> None:
    ledger = job.parent / "out" / ".pipeline" / "ledger.db"
    assert shell("RUN run JOB --quiet --only cat*", job).returncode == 0
    older = ledger.read_bytes()
    assert shell("RUN run JOB --quiet", job).returncode == 0
    ledger.write_bytes(older)
    done = shell("RUN run JOB", job)
    assert done.returncode == 6, done.stdout
    assert b"does not know" in done.stderr
