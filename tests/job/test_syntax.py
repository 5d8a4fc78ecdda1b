"""The slips of YAML that people make most, told with a cure that fits."""

import pytest

from pipeline.job.diagnostics.diagnostic import Diagnostics
from pipeline.job.yaml import syntax, yaml12
from tests.job.conftest import Write, at, items, problems


@pytest.mark.parametrize(
    ("text", "place", "message", "cure"),
    [
        ('prompts:\n  - "A sign saying "hello" there"\n', "job.yaml:2:21", "ends before 'hello\" there\"'", '\\"'),
        ('prompts:\n  - prompt: "Say "hi""\n    count: 2\n', "job.yaml:2:19", "ends before", '\\"'),
        ('prompts: ["A "b" c", d]\n', "job.yaml:1:15", "ends before", "single quotes"),
        ('prompts:\n  - "Neon" sign in the rain\n', "job.yaml:2:12", "ends before 'sign", "single quotes"),
        ("prompts:\n  - 'It's a fox'\n", "job.yaml:2:9", 'ends before "s a fox\'"', "''"),
        ('prompts:\r\n  - a\r\n  - "x "y" z"\r\n', "job.yaml:3:9", "ends before", '\\"'),
        ("prompts:\n  - a mug # one\n    of two\n", "job.yaml:3:5", "", "a # after a space begins a comment"),
        ("prompts:\n  - a: b: c\n", "job.yaml:2:9", "", '": "'),
        ("prompts:\n\t- a\n", "job.yaml:2:1", "", "indent with spaces"),
        ("prompts:\n  - @home\n", "job.yaml:2:5", "", "begins with @ in quotes"),
        ("prompts:\n  - %a\n", "job.yaml:2:5", "", "begins with % in quotes"),
    ],
)
def test_a_slip_is_told_with_its_cure(write: Write, text: str, place: str, message: str, cure: str) -> None:
    (problem,) = problems(write(text))
    assert (at(problem), message in problem.message) == (place, True), problem
    assert cure in problem.cure


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: " + "[" * 21, "job.yaml:1:23"),
        ("[" * 150 + "]" * 150, "job.yaml:1:21"),
        ("[" * 999, "job.yaml:1:21"),
        ("[" * 1001, "job.yaml:1:21"),
        ("[" * 100_000, "job.yaml:1:21"),
        ("[\n" * 3000, "job.yaml:21:1"),
        ("[\r\n" * 3000, "job.yaml:21:1"),
        ("# a\r\n\r# b\r\n" + "[" * 3000, "job.yaml:4:21"),
        ("x: a\r\ny: " + "[ " * 5000, "job.yaml:2:42"),
        ("{a: " * 50_000, "job.yaml:1:81"),
        ("{ " * 5000, "job.yaml:1:41"),
        ("- " * 50_000, "job.yaml:1:41"),
        ("".join(f"{' ' * n}a:\n" for n in range(1500)), "job.yaml:21:21"),
    ],
)
def test_nesting_is_refused_at_our_own_depth(text: str, place: str) -> None:
    with pytest.raises(syntax.BadYaml) as caught:
        yaml12.read(text, "job.yaml", Diagnostics())
    assert (str(caught.value.place), caught.value.message) == (place, "it is nested more than 20 levels deep")


def test_brackets_in_quotes_are_not_nesting(write: Write) -> None:
    assert [item.prompt for item in items(write(f"prompts: ['{'[' * 60}', \"{'[' * 30}\"]"))] == ["[" * 60, "[" * 30]
