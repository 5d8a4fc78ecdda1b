"""The command line as a person and a scheduler meet it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import grammar, main
from pipeline.output.local import OutputFolder

Cli = Callable[..., tuple[int, str, str]]

JOB: dict[str, Any] = {
    "name": "small",
    "endpoint": "sandbox",
    "aspect_ratios": ["1:1"],
    "prompts": [{"id": "fox", "prompt": "A fox"}, {"id": "owl", "prompt": "An owl", "count": 2}],
}


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run one command line in this process: its exit code, and what it wrote to stdout and stderr."""
    for name in ("AIML_API_KEY", "AIMLAPI_KEY", "AIMLAPI_API_KEY", "AIML_API_BASE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


@pytest.fixture
def job(tmp_path: Path) -> Path:
    return write(tmp_path)


def write(folder: Path, **more: Any) -> Path:
    path = folder / "small.yaml"
    path.write_text(json.dumps(JOB | {"output": str(folder / "out")} | more))
    return path


def test_a_run_makes_the_pictures_and_the_second_one_sends_nothing(command: Cli, job: Path) -> None:
    code, out, _ = command("run", job)
    assert code == 0
    assert "3 of 3 images there (3 made now, 0 unchanged)" in out
    assert "2 requests, 378,000 tokens" in out
    code, out, err = command("run", job)
    assert (code, err) == (0, "")
    assert "3 of 3 images there (0 made now, 3 unchanged)" in out
    assert "0 requests" in out


@pytest.mark.parametrize("name", ["run", "plan", "status", "verify"])
def test_json_is_the_only_thing_on_stdout(command: Cli, job: Path, name: str) -> None:
    command("run", job, "--quiet")
    code, out, _ = command(name, job, "--json")
    assert code == 0
    assert isinstance(json.loads(out), dict)
    assert out.count("\n") == 1


def test_the_summary_says_what_a_program_needs(command: Cli, job: Path) -> None:
    _, out, _ = command("run", job, "--json")
    summary = json.loads(out)
    expected = {"images": 3, "saved": 3, "made": 3, "failed": {}, "pending": 0, "requests": 2, "tokens_used": 378_000}
    assert {name: summary[name] for name in expected} == expected
    assert (summary["exit_code"], summary["reason"], summary["maybe_billed"]) == (0, None, [])


def test_a_note_of_the_job_goes_to_stderr_and_not_into_json(command: Cli, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("Café\n".encode("cp1252"))
    job = write(tmp_path, prompts=[{"file": "list.txt"}])
    for arguments in (("plan", job), ("plan", job, "--json"), ("run", job, "--json")):
        code, out, err = command(*arguments)
        assert code == 0
        assert f"note: {tmp_path / 'list.txt'} is not UTF-8: it is read as windows-1252 (line 1: Café)" in err
        assert "windows-1252" not in out
        assert "--json" not in arguments or json.loads(out)


def test_quiet_keeps_the_notes_of_a_job_to_itself(command: Cli, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("Café\n".encode("cp1252"))
    assert command("run", write(tmp_path, prompts=[{"file": "list.txt"}]), "--quiet") == (0, "", "")


def test_a_log_in_json_has_a_line_for_each_event_and_nothing_else(command: Cli, job: Path) -> None:
    code, out, err = command("run", job, "--log-format", "json")
    events = [json.loads(line) for line in err.splitlines()]
    assert (code, [event["event"] for event in events].count("image_recorded")) == (0, 3)
    assert (events[0]["event"], events[-1]["event"]) == ("run_started", "run_ended")
    assert all(event["time"] and event["level"] and event["message"] for event in events)
    assert "3 of 3 images there" in out


def test_a_log_in_json_tells_mistakes_and_notes_of_the_job_as_events_too(command: Cli, tmp_path: Path) -> None:
    code, out, err = command("run", write(tmp_path, prompts=[{"id": 3, "ids": 4}]), "--log-format", "json", "--json")
    refused = json.loads(err)
    assert (code, refused["event"], refused["level"], refused["exit_code"]) == (2, "run_refused", "error", 2)
    assert refused["problems"]
    assert json.loads(out)["exit_code"] == 2
    (tmp_path / "list.txt").write_bytes("Café\n".encode("cp1252"))
    _, _, err = command("run", write(tmp_path, prompts=[{"file": "list.txt"}]), "--log-format", "json")
    assert json.loads(err.splitlines()[0])["event"] == "job_noted"


def test_quiet_says_nothing_but_errors(command: Cli, job: Path, tmp_path: Path) -> None:
    assert command("run", job, "--quiet") == (0, "", "")
    code, out, err = command("run", tmp_path / "missing.yaml", "--quiet")
    assert (code, out) == (2, "")
    assert "missing.yaml" in err


@pytest.fixture
def refusing(tmp_path: Path, command: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A job of two images, one of which its server refuses twice."""
    monkeypatch.setenv("AIML_API_KEY", "any")  # after `command` has taken it away
    (tmp_path / "script.yaml").write_text('owl: ["400", "400"]\n')
    words = [sys.executable, "-m", "pipeline", "sandbox", "--port", "0", "--script", str(tmp_path / "script.yaml")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        base = server.stdout.readline().split()[1]
        prompts = [{"id": name, "prompt": f"A {name}"} for name in ("fox", "owl")]
        yield write(tmp_path, endpoint=base, prompts=prompts)
        server.terminate()


def test_quiet_reports_failures_on_stderr_with_their_cure(command: Cli, refusing: Path) -> None:
    code, out, err = command("run", refusing, "--quiet", "--only", "*")
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert lines[0] == "small: 1 of 2 images there"
    assert lines[1].startswith("  failed: 1 rejected — ")
    assert lines[2].startswith("    owl: rejected: ")
    assert lines[-1].endswith(f" -m pipeline run {refusing} --only owl --retry-failed")
    assert command("run", refusing, "--quiet", "--only", "fox") == (0, "", "")


def test_the_command_that_asks_again_can_be_followed(command: Cli, refusing: Path) -> None:
    code, out, _ = command("run", refusing)
    assert code == 1
    (line,) = (line.strip() for line in out.splitlines() if line.endswith("--retry-failed"))
    again = [subprocess.run(line, shell=True, capture_output=True, check=False) for _ in range(2)]
    assert [done.returncode for done in again] == [1, 0]  # refused a second time by its script
    assert command("run", refusing, "--quiet") == (0, "", "")


def test_a_run_that_is_quiet_and_prints_json_says_nothing_else(command: Cli, refusing: Path) -> None:
    code, out, err = command("run", refusing, "--quiet", "--json")
    assert code == 1
    assert [failure["id"] for failure in json.loads(out)["failures"]] == ["owl"]
    assert "owl: rejected" in err


def test_a_plan_takes_the_budget_that_the_run_would_get(command: Cli, job: Path) -> None:
    for option in (("--budget-tokens", "130000"), ("--budget-usd", "0.065")):
        code, out, _ = command("plan", job, *option)
        assert code == 0
        assert "the budget leaves 130,000 tokens ($0.065) for that: a run would stop there" in out
    _, out, _ = command("plan", job, "--budget-usd", "5", "--json")
    assert json.loads(out)["budget_left"] == 10_000_000


def test_verify_fails_where_images_are_missing(command: Cli, job: Path, tmp_path: Path) -> None:
    command("run", job, "--limit", "1", "--quiet")
    for source in (job, tmp_path / "out"):
        code, out, _ = command("verify", source)
        assert code == 1
        assert "2 images of the job not there" in out
    command("run", job, "--quiet")
    assert command("verify", job)[0] == 0


def test_all_mistakes_are_shown_at_once_with_their_places(command: Cli, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("endpont: sandbox\naspect_ratios: [5:7]\nprompts:\n  - A {colour} fox\n")
    code, out, err = command("run", path)
    assert (code, out) == (2, "")
    assert "3 mistakes" in err
    for place in (":1:1: endpont is unknown", ":2:17: aspect_ratios[0] is 5:7", ":4:5: prompts[0].prompt has {colour}"):
        assert place in err
    assert not (tmp_path / "build").exists()


def test_json_tells_mistakes_to_programs_too(command: Cli, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("endpont: sandbox\nprompts: [x]\n")
    code, out, _ = command("run", path, "--json")
    found = json.loads(out)
    assert (code, found["exit_code"]) == (2, 2)
    (problem,) = found["problems"]
    assert problem["place"].endswith("bad.yaml:1:1")
    assert problem["cure"] == "did you mean endpoint?"


def test_a_great_many_mistakes_are_counted_and_not_all_shown(command: Cli, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("prompts:\n" + "".join(f"  - A {{colour}} fox {n}\n" for n in range(60)))
    _, _, err = command("run", path)
    assert "60 mistakes" in err
    assert "and 10 more" in err


@pytest.mark.parametrize("what", ["missing", "folder", "binary", "/dev/zero", "/dev/null"])
def test_what_is_no_job_gets_one_clear_error(command: Cli, tmp_path: Path, what: str) -> None:
    path = Path(what) if what.startswith("/") else tmp_path / what
    if what == "folder":
        path.mkdir()
    elif what == "binary":
        path.write_bytes(bytes(range(256)))
    for name in ("run", "plan"):
        code, _, err = command(name, path)
        assert code == 2
        assert str(path) in err


def test_without_a_key_the_real_api_is_refused_with_both_ways_out(command: Cli, job: Path, tmp_path: Path) -> None:
    code, out, err = command("run", job, "--endpoint", "aimlapi")
    assert (code, out) == (3, "")
    assert "AIML_API_KEY" in err
    assert "--endpoint sandbox" in err
    assert not (tmp_path / "out").exists()


def test_a_plan_needs_no_key_and_makes_nothing(command: Cli, job: Path, tmp_path: Path) -> None:
    code, out, _ = command("plan", job, "--endpoint", "aimlapi")
    assert code == 0
    assert "3 images: 3 new" in out
    assert "2 requests (378,000 tokens, $0.189 at list price)" in out
    assert not (tmp_path / "out").exists()


def test_a_selection_is_made_alone_and_the_rest_stays_pending(command: Cli, job: Path) -> None:
    code, out, _ = command("run", job, "--only", "o*", "--limit", "1", "--json")
    summary = json.loads(out)
    assert code == 0
    assert (summary["made"], summary["pending"]) == (1, 2)
    _, out, _ = command("run", job, "--only", "fox", "--only", "o*", "--json")
    assert json.loads(out)["made"] == 2


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_a_selection_that_matches_nothing_is_a_mistake(command: Cli, job: Path, verb: str) -> None:
    code, out, err = command(verb, job, "--only", "fox", "--only", "foxx")
    assert (code, out) == (2, "")
    assert "--only foxx: no id of" in err
    assert "did you mean fox" in err


def test_a_number_that_is_none_is_told_in_plain_words(command: Cli, job: Path) -> None:
    code, _, err = command("run", job, "--limit", "0")
    assert code == 2
    assert "argument --limit: it must be a whole number above 0, found '0'" in err


def test_a_manifest_without_its_ledger_is_no_reason_to_pay_again(command: Cli, job: Path, tmp_path: Path) -> None:
    assert command("run", job)[0] == 0
    shutil.rmtree(tmp_path / "out" / ".pipeline")
    for verb in ("run", "plan"):
        code, _, err = command(verb, job)
        assert code == 6
        assert "bring it back" in err
    (tmp_path / "out" / "manifest.jsonl").unlink()
    assert command("run", job)[0] == 0


def test_force_makes_again_what_is_there(command: Cli, job: Path) -> None:
    command("run", job, "--quiet")
    _, out, _ = command("run", job, "--force", "--only", "fox", "--json")
    assert json.loads(out)["made"] == 1


def test_an_output_folder_on_the_command_line_replaces_the_jobs(command: Cli, job: Path, tmp_path: Path) -> None:
    assert command("run", job, "--output", tmp_path / "other", "--quiet")[0] == 0
    assert (tmp_path / "other" / "fox.png").exists()
    assert not (tmp_path / "out").exists()
    for name in ("status", "verify"):
        assert command(name, job, "--output", tmp_path / "other")[0] == 0
        assert command(name, tmp_path / "other")[0] == 0


@pytest.mark.parametrize("value", ["nan", "inf", "0", "-1", "x"])
@pytest.mark.parametrize("option", ["--requests-per-minute", "--concurrency", "--budget-tokens", "--limit"])
def test_a_limit_that_is_none_is_refused(command: Cli, job: Path, option: str, value: str, tmp_path: Path) -> None:
    code, _, err = command("run", job, f"{option}={value}")
    assert code == 2
    assert option in err
    assert not (tmp_path / "out").exists()


def test_limits_on_the_command_line_are_obeyed(command: Cli, job: Path) -> None:
    options = ("--concurrency", "1", "--requests-per-minute", "6000", "--budget-tokens", "130000")
    code, out, err = command("run", job, *options)
    assert code == 7
    assert "1 of 3 images there" in out
    assert "2 images not made yet" in out
    assert "the budget of 130,000 tokens ($0.065) is reached" in err


def test_a_folder_that_cannot_be_written_is_a_storage_error(command: Cli, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    code, _, err = command("run", write(tmp_path))
    assert code == 6
    assert str(tmp_path / "out") in err


def test_a_locked_folder_is_left_alone(command: Cli, job: Path, tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "out"):
        code, _, err = command("run", job)
    assert code == 11
    assert str(os.getpid()) in err


def test_a_file_that_is_not_sound_is_found_and_brought_back(command: Cli, job: Path, tmp_path: Path) -> None:
    command("run", job, "--quiet")
    owl, fox = tmp_path / "out" / "owl.png", tmp_path / "out" / "fox.png"
    before, stat = owl.read_bytes(), owl.stat()
    owl.write_bytes(before[:-20] + b"\0" + before[-19:])
    os.utime(owl, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    fox.unlink()
    code, out, _ = command("verify", job)
    assert code == 1
    assert "damaged: owl.png" in out
    assert "missing: fox.png" in out
    code, out, _ = command("run", job, "--json")
    assert (code, json.loads(out)["requests"]) == (0, 0)
    assert owl.read_bytes() == before
    assert command("verify", job)[0] == 0


@pytest.mark.parametrize("name", ["status", "verify"])
def test_before_the_first_run_there_is_no_manifest(command: Cli, job: Path, name: str) -> None:
    code, _, err = command(name, job)
    assert code == 2
    assert "run the job first" in err


def test_the_status_counts_failures_by_cause(command: Cli, job: Path) -> None:
    command("run", job, "--limit", "1", "--quiet")
    _, out, _ = command("status", job)
    assert "1 of 3 images saved" in out
    assert "2 images not made yet" in out


def test_a_plan_names_reasons_and_orphans(command: Cli, tmp_path: Path) -> None:
    command("run", write(tmp_path), "--quiet")
    prompts = [{"id": "owl", "prompt": "A snowy owl", "count": 2}, {"id": "hen", "prompt": "A hen"}]
    _, out, _ = command("plan", write(tmp_path, prompts=prompts))
    assert "prompt changed: owl x2  A snowy owl" in out
    assert "new: hen  A hen" in out
    assert "orphaned (no longer in the job): fox.png" in out
    assert "owl.png" not in out


def test_the_kinds_of_faults_are_listed(command: Cli) -> None:
    code, out, _ = command("sandbox", "--kinds")
    assert code == 0
    assert "reset-after-billing" in out


@pytest.mark.parametrize("option", [("--fault", "50O"), ("--script", "missing.yaml"), ("--port", "1")])
def test_a_sandbox_that_cannot_be_served_says_why(command: Cli, option: tuple[str, str]) -> None:
    if option[0] == "--port" and os.geteuid() == 0:
        option = ("--host", "203.0.113.1")
    code, _, err = command("sandbox", "--port", "0", *option)
    assert code == 2
    assert err.startswith("error: ")


@pytest.mark.parametrize("name", ["run", "plan", "status", "verify", "sandbox"])
def test_every_help_tells_the_exit_codes(command: Cli, name: str) -> None:
    code, out, _ = command(name, "--help")
    assert code == 0
    assert "exit codes:" in out


def test_a_mistake_of_the_program_is_one_line_and_no_traceback(
    command: Cli, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ExceptionGroup("tasks", [LookupError("sk-secret")])

    monkeypatch.setattr(grammar, "parse", broken)
    code, _, err = command("run", job)
    assert code == 1
    assert "mistake in the program (LookupError at test_main.py:" in err
    assert "sk-secret" not in err
    monkeypatch.setenv("PIPELINE_DEBUG", "1")
    with pytest.raises(ExceptionGroup):
        main.main(["run", str(job)])


def test_a_reader_that_goes_away_is_no_error_to_shout_about(job: Path) -> None:
    line = f"{sys.executable} -m pipeline plan {job} --json | head -c 1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "{"
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_ctrl_c_while_the_job_is_read_ends_quietly(command: Cli, job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.arguments.job.load", interrupted)
    assert command("run", job) == (130, "", "interrupted\n")
