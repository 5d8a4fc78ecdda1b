"""The grammar of the command line, and what is said of a line that does not fit it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.arguments.invocation import program
from pipeline.arguments.parser import WrongArguments
from pipeline.cli import main
from pipeline.cli.grammar import parse


@pytest.mark.parametrize(
    "line",
    [
        "run job.yaml --f",
        "run job.yaml --retry",
        "run job.yaml --on fox",
        "run job.yaml --l 1",
        "plan job.yaml --forc",
        "status job.yaml --js",
        "verify job.yaml --out x",
        "manifest job.yaml --reb",
        "sandbox --lat 3",
        "--vers",
    ],
)
def test_options_are_never_abbreviated(line: str) -> None:
    with pytest.raises(WrongArguments):
        parse(line.split())


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("run job.yaml --retry", "did you mean --retry-failed?"),
        ("run job.yaml --budget 3", "did you mean --budget-tokens or --budget-usd?"),
        ("run job.yaml --ouput x", "did you mean --output?"),
        ("run job.yaml --dry-run", "`plan` shows what a run would make"),
        ("sandbox --fautl 500", "did you mean --fault?"),
    ],
)
def test_an_unknown_option_is_told_with_the_one_that_was_meant(line: str, hint: str) -> None:
    with pytest.raises(WrongArguments, match="unrecognized arguments") as raised:
        parse(line.split())
    assert hint in str(raised.value)


@pytest.mark.parametrize("command", ["run", "plan", "status", "verify", "audit", "manifest"])
@pytest.mark.parametrize("wrong", ["--nope", "--output", "--output=", "more"])
def test_a_wrong_line_gets_the_usage_of_its_own_command(
    command: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([command, "job.yaml", wrong]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"usage: {program()} {command} ")
    assert f"{program()} {command}: error: " in err


def test_a_wrong_line_is_told_to_programs_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["run", "job.yaml", "--json", "--limit", "0"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "exit_code": 2,
        "reason": "argument --limit: it must be a whole number above 0, found '0'",
        "problems": [],
    }


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("/venv/bin/image-pipeline", "image-pipeline"),
        ("C:/venv/Scripts/image-pipeline.exe", "image-pipeline"),
        ("/src/pipeline/__main__.py", "python -m pipeline"),
    ],
)
def test_the_program_is_called_what_it_was_called(called: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [called])
    assert program() == name


@pytest.mark.parametrize("words", [["-m", "pipeline"], [str(Path(sys.executable).parent / "image-pipeline")]])
def test_version_and_usage_name_the_program_as_it_was_called(words: list[str]) -> None:
    name = "python -m pipeline" if words[0] == "-m" else "image-pipeline"
    version = subprocess.run([sys.executable, *words, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith(f"{name} 0.")
    usage = subprocess.run([sys.executable, *words, "plan"], capture_output=True, text=True, check=False)
    assert usage.stderr.startswith(f"usage: {name} plan ")
