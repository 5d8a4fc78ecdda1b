"""What is said can't be heard, or not in these letters: the work and its exit code stand all the same."""

import json
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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job whose pictures are there."""
    path = tmp_path_factory.mktemp("made") / "site.yaml"
    path.write_text(f"endpoint: sandbox\noutput: {path.parent / 'out'}\nprompts: [cat]\n")
    assert shell("RUN run JOB --quiet", path).returncode == 0
    return path


def shell(command: str, job: Path, **environ: str) -> "subprocess.CompletedProcess[bytes]":
    """A command line in a user's shell; `RUN` stands for the program, `JOB` for the job."""
    line = command.replace("RUN", f"{sys.executable} -m pipeline").replace("JOB", str(job))
    # Set, it hides what happens to what stands in a buffer at exit; a user's shell has it unset.
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(["bash", "-c", line], capture_output=True, timeout=50, check=False, env={**usual, **environ})


@pytest.mark.parametrize(
    "command",
    [
        "RUN run JOB 2>&-",
        "RUN run JOB >&- 2>&-",
        "RUN run JOB >/dev/full",
        "RUN run JOB --json >/dev/full",
        "RUN run JOB 2>/dev/full",
        "RUN run JOB | true; exit ${PIPESTATUS[0]}",
        "RUN run JOB --json | true; exit ${PIPESTATUS[0]}",
        "RUN run JOB >/dev/full 2>/dev/full",
        "RUN run JOB >&- 2>&- <&-",
    ],
)
def test_a_run_is_worth_what_it_made_whoever_listens(job: Path, command: str) -> None:
    done = shell(command, job)
    assert done.returncode == 0, done.stderr
    assert b"mistake" not in done.stdout + done.stderr
    assert len(list((job.parent / "out").glob("*.png"))) == 2


STATES = {
    "stdout is full": ("{} >/dev/full 2>/dev/null", 6),
    "stdout is closed": ("{} >&- 2>/dev/null", 0),
    "nobody reads stdout": ("{} 2>/dev/null | true; (exit ${{PIPESTATUS[0]}})", 0),
    "stderr is full": ("{} 2>/dev/full >/dev/null", 0),
    "stderr is closed": ("{} 2>&- >/dev/null", 0),
    "nobody reads stderr": ("{{ {} 2>&1 >/dev/null; echo $? >&3; }} 3>rc | true; (exit $(cat rc))", 0),
    "all are closed": ("{} >&- 2>&- <&-", 0),
    "both are full": ("{} >/dev/full 2>/dev/full", 6),
}
"""How a command is run, and the exit code of one whose report is all that it is for."""

REPORTS = ["plan JOB", "status JOB --json", "manifest JOB", "--version"]
"""Commands that succeed; where their report finds no place on a disk, that is local trouble."""

WRONG = ["", "run JOB --nope --json", "plan none.yaml --json"]
"""Command lines that are wrong, whatever can be said of it."""


def exit_codes(job: Path, state: str, commands: list[str], **environ: str) -> dict[str, int]:
    """The exit code of each command in one state of its streams."""
    (job.parent / "codes").unlink(missing_ok=True)
    template, _ = STATES[state]
    lines = "\n".join(f"{template.format(f'RUN {command}')}; echo $? >>codes" for command in commands)
    done = shell(f"cd {job.parent}\n{lines}", job, **environ)
    assert b"Traceback" not in done.stdout + done.stderr
    return dict(zip(commands, map(int, (job.parent / "codes").read_text().split()), strict=True))


@pytest.mark.parametrize("state", STATES)
def test_exit_codes_hold_whatever_becomes_of_what_is_said(made: Path, state: str) -> None:
    expected = dict.fromkeys(REPORTS, STATES[state][1]) | dict.fromkeys(WRONG, 2)
    assert exit_codes(made, state, [*REPORTS, *WRONG]) == expected


@pytest.mark.parametrize("state", ["stdout is full", "nobody reads stdout", "stderr is full"])
def test_exit_codes_hold_without_buffers_too(made: Path, state: str) -> None:
    expected = {"plan JOB --json": STATES[state][1], "--help": STATES[state][1], "run --nope": 2}
    assert exit_codes(made, state, list(expected), PYTHONUNBUFFERED="1") == expected


def test_a_bad_verdict_is_told_by_the_exit_code_even_where_it_finds_no_place(job: Path) -> None:
    assert shell("RUN run JOB --quiet --only cat*", job).returncode == 0
    for state in ("stdout is full", "nobody reads stdout", "stdout is closed"):
        assert exit_codes(job, state, ["verify JOB"]) == {"verify JOB": 1}


def test_a_plan_that_cannot_be_written_is_local_trouble(job: Path) -> None:
    done = shell("RUN plan JOB >/dev/full", job)
    assert done.returncode == 6
    assert b"standard output can't be written: No space left" in done.stderr


def test_programs_are_told_of_a_wrong_job_where_people_cannot_be(job: Path) -> None:
    for line in ("RUN run none.yaml --json 2>/dev/full", "RUN run JOB --nope --json 2>&-"):
        done = shell(line, job)
        assert (done.returncode, json.loads(done.stdout)["exit_code"]) == (2, 2)


def test_the_last_file_of_a_run_never_becomes_a_standard_stream(job: Path) -> None:
    assert shell("RUN run JOB >&- 2>&- <&-", job).returncode == 0
    manifest = (job.parent / "out" / "manifest.jsonl").read_bytes()
    assert [json.loads(line)["status"] for line in manifest.splitlines()] == ["saved", "saved"]


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
