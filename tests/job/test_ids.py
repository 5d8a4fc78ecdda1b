"""Ids: one name for each picture, the same whatever the order, and the same as ever where nothing collides."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.job import naming
from tests.job.conftest import Write, at, items, problems


def ids(write: Write, job: str, **files: str | bytes) -> list[str]:
    return [item.id for item in items(write(job, **files))]


def of(write: Write, values: list[str]) -> dict[str, str]:
    """The id of each value of a variable."""
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    found = items(write(f"prompts: [{{id: x, prompt: '{{v}}', variables: {{v: [{quoted}]}}}}]"))
    return {item.prompt: item.id for item in found}


@pytest.mark.parametrize(
    "values",
    [
        ["in the style of watercolor painting", "in the style of watercolor sketch"],
        ["C", "C++", "C#"],
        ["-5", "5"],
        ["resume", "résumé"],
        ["猫 2024", "犬 2024"],
        ["Team A", "Team (A)", "team-a"],
        ["ß", "ss", "SS!"],
    ],
)
def test_values_with_one_slug_have_names_of_their_own(write: Write, values: list[str]) -> None:
    found = of(write, [*values, "other"])
    assert len(set(found.values())) == len(values) + 1
    assert found.pop("other") == "x-other"
    slug = naming.slug(values[0], 24)
    assert all(name.startswith(f"x-{slug}-") and len(name) == len(f"x-{slug}-") + 8 for name in found.values())


def test_the_order_of_values_changes_no_name(write: Write) -> None:
    values = ["C", "C++", "C#", "D", "猫", "犬", "a b", "a-b"]
    before = of(write, values)
    random.Random(3).shuffle(values)
    assert of(write, values) == before


def test_names_without_a_collision_are_what_they_always_were(write: Write) -> None:
    assert of(write, ["Red fox", "C++", "in the style of watercolor painting", "猫"]) == {
        "Red fox": "x-red-fox",
        "C++": "x-c",
        "in the style of watercolor painting": "x-in-the-style-of-watercol",
        "猫": "x-a810bf84",
    }


def test_values_that_read_the_same_together_have_names_of_their_own(write: Write) -> None:
    job = "variables: {a: [x, x-y], b: [z, y-z]}\nprompts: [{id: h, prompt: '{a} {b}'}]"
    found = ids(write, job)
    assert len(set(found)) == 4
    assert [found[0], found[3]] == ["h-x-z", "h-x-y-y-z"]
    assert [name[:8] for name in found[1:3]] == ["h-x-y-z-", "h-x-y-z-"]
    assert set(ids(write, job.replace("[x, x-y]", "[x-y, x]"))) == set(found)


@given(st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=6, unique=True))
def test_words_tell_any_values_apart(values: list[str]) -> None:
    words = naming.Words([values])
    found = {tuple(words.of([value])) for value in values}
    assert len(found) == len(values)
    assert found == {tuple(naming.Words([values[::-1]]).of([value])) for value in values}


def test_a_template_makes_an_id_of_columns(write: Write) -> None:
    found = ids(
        write,
        "prompts: [{file: list.csv, id: '{sku}-front', prompt: 'Photo of {name}'}]",
        list__csv="sku,name\nA_1.b,a\nSKU 1,b\nC++,c\n猫,d\nA/B,e\nCafé,f\n",
    )
    assert found[0] == "A_1.b-front"
    assert (found[1], found[4], found[5]) == ("sku-1-front", "a-b-front", "cafe-front")
    assert found[2].startswith("c-front-")
    assert found[3].startswith("front-")
    assert all(naming.id_problem(name) is None for name in found)


def test_a_template_is_told_from_what_it_does_not_say(write: Write) -> None:
    job = """
variables: {animal: [fox, owl], season: [spring, autumn], size: big}
prompts:
  - id: "{animal}-{size}"
    prompt: "{animal} in {season}"
    aspect_ratios: [1:1, 16:9]
"""
    assert ids(write, job)[:3] == ["fox-big-spring-1x1", "fox-big-spring-16x9", "fox-big-autumn-1x1"]
    assert len(set(ids(write, job))) == 8


@pytest.mark.parametrize(("written", "begins"), [("a}}b", "a-b-"), ("{{a}}", "a-"), ("{{{v}}}", "x-")])
def test_a_brace_in_an_id_never_names_a_file(write: Write, written: str, begins: str) -> None:
    (found,) = ids(write, f"prompts: [{{id: '{written}', prompt: 'a {{v}}', variables: {{v: x}}}}]")
    assert found.startswith(begins)
    assert naming.id_problem(found) is None


def test_an_id_of_a_row_goes_before_the_entrys_template(write: Write) -> None:
    job = "prompts: [{file: list.csv, id: 'p-{sku}', prompt: '{name}'}]"
    assert ids(write, job, list__csv="id,sku,name\nown,1,a\n,2,b\n") == ["own", "p-2"]


def test_a_column_that_only_the_id_uses_is_used(write: Write) -> None:
    path = write("variables: {v: x}\nprompts: [{id: 'a-{v}', prompt: b}]")
    assert [item.id for item in items(path)] == ["a-x"]


@pytest.mark.parametrize(
    ("job", "place", "message"),
    [
        ("prompts: [{id: '{sky}', prompt: a}]", "job.yaml:1:16", "prompts[0].id has {sky}, which has no value"),
        ("prompts: [{id: 'a {', prompt: a}]", "job.yaml:1:16", "prompts[0].id has '{'"),
        ("prompts: [{id: 'a b', prompt: a}]", "job.yaml:1:16", "can't name a file"),
        ("name: '{x}'\nprompts: [a]", "job.yaml:1:7", "can't name a file"),
        (
            "variables: {v: [x, y]}\nprompts: [{id: 'a-{v}', prompt: b}, '{v}']",
            "job.yaml:2:16",
            "has {v}, which has several values and is not in the prompt",
        ),
        (
            "prompts: [{file: list.csv, id: '{sku}', prompt: '{name}'}]",
            "list.csv:3",
            "column sku is empty, and the prompt or the id uses it",
        ),
        (
            "prompts: [{file: list.csv, id: '{name}', prompt: '{name} {sku}'}]",
            "list.csv:3",
            "would be the file a-b, as the one at",
        ),
    ],
)
def test_an_id_that_can_not_be_made_is_a_mistake(write: Write, job: str, place: str, message: str) -> None:
    found = problems(
        write(job, list__csv="sku,name\n1,A b\n,a-b\n4,c\n".replace("\n,a", "\n,a" if "sku}'," in job else "\n2,a"))
    )
    assert [problem for problem in found if at(problem) == place and message in problem.message], [*map(str, found)]


@given(st.text(max_size=200))
def test_any_text_makes_an_id_that_can_name_a_file(text: str) -> None:
    assert naming.id_problem(naming.of_text(text)) is None


@pytest.mark.parametrize(
    ("one", "other"), [("C", "C++"), ("猫 1", "犬 1"), ("x" * 90, "x" * 91), ("-5", "5"), ("con", "con!")]
)
def test_texts_that_differ_in_more_than_spaces_have_ids_that_differ(one: str, other: str) -> None:
    assert naming.of_text(one).casefold() != naming.of_text(other).casefold()
