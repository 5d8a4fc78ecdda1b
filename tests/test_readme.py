"""What the README, the reference, `--help` and the jobs say is what the code does."""

import argparse
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from pipeline import Limits, Record, __all__, __version__, expand, load_job, settings
from pipeline.cli.grammar import parser
from pipeline.errors import GiveUp
from pipeline.exit_codes import ExitCode
from pipeline.job.schema import schema
from sandbox import KINDS
from tests.test_layers import LAYERS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    """The text under one heading, up to the next of the same or a higher level."""
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##+ |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no section {title!r}"
    return found[1]


def first_column(text: str) -> list[str]:
    """What stands in code quotes, or as a bare number, in the first column of the tables of a text."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return [word for cell in cells for word in re.findall(r"`([^`]+)`|^ (\d+) $", cell) for word in word if word]


def actions(command: str | None = None) -> list[argparse.Action]:
    """The options and arguments of the program or of one of its commands."""
    top = parser()
    if command is None:
        return top._actions
    (commands,) = (action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    found: argparse.ArgumentParser = commands.choices[command]
    return found._actions


def commands() -> list[str]:
    (found,) = (action for action in actions() if isinstance(action, argparse._SubParsersAction))
    return list(found.choices)


def test_every_command_is_in_the_reference() -> None:
    assert [word.split()[0] for word in first_column(section("Commands"))] == commands()


@pytest.mark.parametrize("command", commands())
def test_every_option_is_in_the_readme(command: str) -> None:
    text = section("The sandbox") if command == "sandbox" else section("Commands")
    options = {option for action in actions(command) for option in action.option_strings if option.startswith("--")}
    if command == "sandbox":
        options &= set(re.findall(r"--[a-z-]+", text))
        assert options >= {"--fault", "--script", "--latency", "--kinds", "--port"}
    for option in options - {"--help"}:
        assert option in text, f"{command} {option} is not in the README"


def test_the_readme_names_no_option_that_does_not_exist() -> None:
    known = {option for command in commands() for action in actions(command) for option in action.option_strings}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))
    assert named <= known


def test_the_exit_codes_agree() -> None:
    documented = first_column(section("Exit codes"))
    assert documented == [str(code.value) for code in ExitCode]


def test_the_manifest_reference_has_every_field() -> None:
    table = section("The manifest").partition("The causes of a failure:")[0]
    assert first_column(table) == [field.name for field in fields(Record)]


def test_every_cause_of_a_failure_is_explained_in_the_same_words() -> None:
    table = section("The manifest").partition("The causes of a failure:")[2]
    assert first_column(table) == list(GiveUp.CAUSES)
    for cause, meaning in GiveUp.CAUSES.items():
        row = next(line for line in table.splitlines() if line.startswith(f"| `{cause}`"))
        assert meaning.split(";")[0] in row
        assert ("leaves it" not in row) == (cause in GiveUp.AGAIN)


def test_the_job_reference_has_every_key() -> None:
    found = schema()
    top, _, rest = section("The job file").partition("A prompt entry is a text, or a mapping:")
    assert set(first_column(top)) == set(found["properties"])
    entry = set(found["$defs"]["PromptSpec"]["anyOf"][1]["properties"])
    assert set(first_column(rest)) == entry


def test_the_limits_and_their_defaults_are_in_the_reference() -> None:
    text = section("Limits of a run")
    assert first_column(text) == [field.name for field in fields(Limits)]
    for field in fields(Limits):
        row = next(line for line in text.splitlines() if line.startswith(f"| `{field.name}`"))
        default = getattr(Limits(), field.name)
        assert row.rstrip(" |").split("|")[-1].strip() == (
            "none" if default is None else f"{default}".removesuffix(".0")
        )


def test_the_environment_is_in_the_readme() -> None:
    for name in (*settings.KEY_VARIABLES, settings.BASE_VARIABLE):
        assert name in README


def test_the_job_in_the_readme_loads(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(# jobs/shop.yaml.*?)```", README, re.DOTALL)
    (tmp_path / "catalog.yaml").write_text(text)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "products.csv").write_text("name,colour\nlamp,white\n")
    items = list(expand(load_job(tmp_path / "catalog.yaml")))
    # Two ratios of the racoon; two animals in two ratios with two seeds and two images more; one product in two ratios.
    assert sum(item.count for item in items) == 2 + 2 * 2 * 4 + 2


@pytest.mark.parametrize("job", sorted((ROOT / "jobs").glob("*.yaml")), ids=lambda path: path.name)
def test_the_jobs_load(job: Path) -> None:
    assert list(expand(load_job(job)))


def test_the_script_in_the_readme_names_real_faults() -> None:
    (kinds,) = re.findall(r"^Racoon: \[(.*)\]$", section("The sandbox"), re.MULTILINE)
    assert {kind.strip(' "') for kind in kinds.split(",")} <= set(KINDS)


def test_the_python_in_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "catalog.yaml").write_text("endpoint: sandbox\nprompts: [A fox]\n")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", section("From Python"), re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 5
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == "1 126000\n"


def test_the_names_that_python_users_are_told_of_exist() -> None:
    text = section("From Python")
    for name in ("load_job", "run", "run_async", "Selection", "Summary", "StopRun", "UsageError", "job_schema"):
        assert name in text
        assert name in __all__


def test_every_target_that_the_readme_names_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))
    assert named >= {"run", "test", "check", "fmt"}
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


def test_the_version_is_the_same_everywhere() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["version"] == __version__
    assert f"## {__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_the_table_of_contents_leads_somewhere() -> None:
    titles = {
        re.sub(r"[^a-z ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^## (.*)$", README, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([a-z-]+)\)", README)) <= titles


def test_the_layers_are_those_that_the_imports_are_held_to() -> None:
    rows = [line.split("|") for line in section("Development").splitlines() if line.startswith("| ")][1:]
    told = {row[1].strip(): set(re.findall(r"`(\w+)/?`", row[2])) for row in rows}
    assert list(told) == list(LAYERS)
    assert told == {layer: rooms - {"__init__"} for layer, rooms in LAYERS.items()}
