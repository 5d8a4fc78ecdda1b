"""Every command has the shape that the command line relies on."""

import json
import shlex
from pathlib import Path

import pytest

from pipeline.cli.grammar import parse
from pipeline.cli.main import main
from pipeline.commands.registry import COMMANDS, find

MODULES = {file.stem for file in (Path(__file__).parents[2] / "pipeline/commands").glob("*.py")}


def test_every_module_of_the_room_is_a_command_and_stands_in_the_registry() -> None:
    assert set(COMMANDS) == MODULES - {"__init__", "contract", "registry"}
    assert all(module == f"pipeline.commands.{name}" for name, module in COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_in_one_line_what_it_does(name: str) -> None:
    text = find(name).help
    assert text[0].islower()
    assert "\n" not in text
    assert not text.endswith(".")


@pytest.mark.parametrize(("name", "line"), [(name, line) for name in COMMANDS for line in find(name).examples])
def test_each_example_is_a_line_that_the_program_understands(name: str, line: str) -> None:
    words = shlex.split(line)
    assert words[0] == name
    assert parse(words).command == name


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_the_examples_and_the_exit_codes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert find(name).examples
    assert all(f" {example}\n" in shown for example in find(name).examples)
    assert "exit codes:\n  0 " in shown


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("sandbox", "audit")])
def test_json_is_one_document_of_every_command(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("endpoint: sandbox\noutput: out\nprompts: [A fox]\n")
    assert main(["run", str(job), "--quiet"]) == 0
    capsys.readouterr()
    assert main([name, str(job), "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), dict)
