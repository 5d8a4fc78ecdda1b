"""Columns that the program would pass over although they seem to say something."""

import json

import pytest

from pipeline import job as jobfile
from tests.job.conftest import Write, at, items, problems


def told(write: Write, column: str, value: str = "7", model: str = "google/imagen-4.0-ultra-generate-001") -> list[str]:
    """The cures for a column, in a table and in lines of JSON."""
    job = f"model: {model}\nprompts: [{{file: list.SUFFIX}}]"
    table = problems(write(job.replace("SUFFIX", "csv"), list__csv=f'id,prompt,"{column}"\na,x,"{value}"\nb,y,\n'))
    assert [at(problem) for problem in table] == ["list.csv:1"]
    lines = "\n".join(json.dumps({"id": name, "prompt": name, column: value}) for name in "ab")
    same = problems(write(job.replace("SUFFIX", "jsonl"), list__jsonl=lines))
    assert [(problem.message, problem.cure) for problem in same] == [(table[0].message, table[0].cure)]
    assert table[0].message == f"column {column} is not read"
    return [table[0].cure]


@pytest.mark.parametrize(
    ("column", "key"),
    [
        ("Id", "id"),
        ("ID", "id"),
        ("ids", "id"),
        ("Prompts", "prompt"),
        ("Models", "model"),
        ("aspect ratio", "aspect_ratio"),
        ("Aspect_Ratio", "aspect_ratio"),
        ("aspectRatio", "aspect_ratio"),
        ("aspect-ratios", "aspect_ratio"),
        ("AspectRatios", "aspect_ratio"),
        ("aspect_raito", "aspect_ratio"),
        ("ratio", "aspect_ratio"),
        ("Seed", "seed"),
        ("SEEDS", "seed"),
        ("Count", "count"),
        ("num_images", "count"),
        ("number of images", "count"),
        ("n", "count"),
    ],
)
def test_a_column_that_resembles_a_key_is_a_mistake(write: Write, column: str, key: str) -> None:
    assert told(write, column)[0].startswith(f"name it {key};")


def test_a_column_with_the_name_of_a_parameter_is_a_mistake(write: Write) -> None:
    assert "write it under parameters: of the entry" in told(write, "enhance_prompt", "false")[0]
    assert "enhance_prompt is a parameter of" in told(write, "Enhance Prompt", "false")[0]
    assert "quality is a parameter of openai/gpt-image-1" in told(write, "quality", "low", "openai/gpt-image-1")[0]


@pytest.mark.parametrize("column", ["negative_prompt", "Negative Prompt", "negative"])
def test_a_negative_prompt_is_never_passed_over(write: Write, column: str) -> None:
    assert "takes no negative prompt: say in the prompt" in told(write, column, "blur")[0]


def test_a_size_is_a_mistake_where_it_is_one_of_pixels(write: Write) -> None:
    assert "a column aspect_ratio" in told(write, "size", "1024x1024")[0]
    path = write("prompts: [{file: list.csv}]", list__csv="prompt,size\nx,XL\n")
    assert len(items(path)) == 1


@pytest.mark.parametrize("column", ["Seed", "ratio", "size", "n", "negative_prompt", "Model"])
def test_a_column_that_a_prompt_uses_may_have_any_name(write: Write, column: str) -> None:
    path = write(
        f"prompts: [{{file: list.csv, prompt: 'a {{{column}}}'}}]", list__csv=f"id,{column}\na,10x10\nb,20x20\n"
    )
    assert [item.prompt for item in items(path)] == ["a 10x10", "a 20x20"]
    path = write("prompts: [{file: list.csv}]", list__csv=f"id,prompt,{column}\na,x,1\nb,y {{{column}}},2\n")
    assert [item.prompt for item in items(path)] == ["x", "y 2"]


def test_columns_that_mean_nothing_are_known_by_their_file(write: Write) -> None:
    job = jobfile.load(
        write(
            "prompts: [{file: list.csv, prompt: 'a {name}'}, {file: list.jsonl}, {file: used.csv}]",
            list__csv="sku,name,price,mode,country\n1,x,2,3,4\n",
            list__jsonl='{"prompt": "p", "note": 1}\n{"prompt": "q", "weight": {}}\n',
            used__csv="prompt\nz\n",
        )
    )
    assert {file.rpartition("/")[2]: columns for file, columns in job.unused_columns.items()} == {
        "list.csv": ("sku", "price", "mode", "country"),
        "list.jsonl": ("note", "weight"),
    }


def test_a_column_that_another_entry_uses_is_used(write: Write) -> None:
    job = jobfile.load(
        write(
            "prompts: [{file: list.csv, prompt: 'a {name}'}, {file: list.csv, prompt: 'b {colour} {name}'}]",
            list__csv="name,colour,note\nx,red,1\n",
        )
    )
    assert list(job.unused_columns.values()) == [("note",)]


@pytest.mark.parametrize(
    ("header", "cure"), [("id,Prompt", "name the column Prompt prompt"), ("id,promt", "promt prompt")]
)
def test_a_prompt_column_of_another_name_is_told_of_once(write: Write, header: str, cure: str) -> None:
    (problem,) = problems(write("prompts: [{file: list.csv}]", list__csv=f"{header}\na,x\nb,y\n"))
    assert (at(problem), cure in problem.cure) == ("list.csv:1", True)
