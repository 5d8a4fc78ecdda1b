"""Included files: a row is an entry, its columns are variables, and nothing outside the job's folder is read."""

import json
import os
import tracemalloc
from pathlib import Path

import pytest

from pipeline import job as jobfile
from pipeline.errors import UsageError
from pipeline.job import loading
from pipeline.plan import fingerprint
from tests.job.conftest import Write, at, items, problems


def test_columns_of_a_table_are_variables_and_keys(write: Write) -> None:
    path = write(
        "prompts:\n  - file: list.csv\n    prompt: 'Photo of {name}, {Main colour}'\n",
        list__csv=(
            b"\xef\xbb\xbfid,name,Main colour,aspect_ratio,count,seed,model,prompt,note\r\n"
            b'mug,"a mug, large",red,16:9,2,,,,x\r\n'
            b"\r\n"
            b',"a\nlamp",white,"1:1, 4:3",,"7 11",google/imagen-4.0-fast-generate-001,,y\r\n'
            b'own,a hat,blue,,,,,"{name} alone",z\r\n'
        ),
    )
    found = items(path)
    assert [(item.prompt, item.aspect_ratio, item.seed, item.count) for item in found] == [
        ("Photo of a mug, large, red", "16:9", None, 2),
        ("Photo of a\nlamp, white", "1:1", 7, 1),
        ("Photo of a\nlamp, white", "1:1", 11, 1),
        ("Photo of a\nlamp, white", "4:3", 7, 1),
        ("Photo of a\nlamp, white", "4:3", 11, 1),
        ("a hat alone", None, None, 1),
    ]
    assert [item.id for item in found[::5]] == ["mug", "own"]
    assert found[1].model == "google/imagen-4.0-fast-generate-001"
    assert [item.place.line for item in found] == [2, 4, 4, 4, 4, 6]
    assert found[0].place.file.endswith("/list.csv")


def test_a_line_of_json_may_hold_everything_an_entry_may(write: Write) -> None:
    rows = [
        {"name": "a mug", "size": 1.50, "unused": {"a": [1]}, "parameters": {"add_watermark": True}, "seeds": [1, 2]},
        {"name": ["x", "y"], "size": True, "id": "two"},
    ]
    path = write(
        "prompts: [{file: list.jsonl, prompt: '{name} {size}'}]",
        list__jsonl=json.dumps(rows[0]).replace("1.5", "1.50") + "\n\n" + json.dumps(rows[1]) + "\n",
    )
    found = items(path)
    assert [(item.prompt, item.seed) for item in found] == [
        ("a mug 1.50", 1),
        ("a mug 1.50", 2),
        ("x true", None),
        ("y true", None),
    ]
    assert found[0].parameters == {"add_watermark": True}
    assert [item.id for item in found[2:]] == ["two-x", "two-y"]


def test_a_line_of_text_is_a_prompt(write: Write) -> None:
    path = write(
        "variables: {season: autumn}\nprompts: [{file: list.TXT}]",
        **{"list.TXT": "# a comment\n\n a fox in {season} \r\n007: {{x}}\n"},
    )
    assert [(item.prompt, item.place.line) for item in items(path)] == [("a fox in autumn", 3), ("007: {x}", 4)]


def test_a_line_of_text_is_a_variable_where_the_entry_has_a_prompt(write: Write) -> None:
    path = write("prompts: [{file: list.txt, prompt: 'Photo of {line}'}]", list__txt="a {fox}\nan owl\n")
    assert [item.prompt for item in items(path)] == ["Photo of a {fox}", "Photo of an owl"]


def test_the_id_of_an_entry_begins_the_ids_of_its_rows(write: Write) -> None:
    path = write("prompts: [{file: list.txt, id: animals}]", list__txt="a fox\nan owl\n")
    found = items(path)
    assert [item.id for item in found] == [f"animals-a-fox-{found[0].key[:12]}", f"animals-an-owl-{found[1].key[:12]}"]


BAD: list[tuple[str, str | bytes, str, str]] = [
    ("list.csv", "", "job.yaml:1:18", "prompts[0].file is"),
    ("list.csv", "name\n", "job.yaml:1:18", "prompts[0].file has no rows"),
    ("list.txt", "# nothing\n", "job.yaml:1:18", "has no rows"),
    ("list.csv", "name,name\na,b\n", "list.csv:1", "two columns are named 'name'"),
    ("list.csv", "name,\na,b\n", "list.csv:1", "column 2 has no name"),
    ("list.csv", "name,b\nx,1\ny\n", "list.csv:3", "the row has 1 cells, the header has 2"),
    ("list.csv", "name,b\nx,1,2\n", "list.csv:2", "the row has 3 cells"),
    ("list.csv", 'name\n"x\n', "list.csv:2", "a quote that opens in this row is not closed"),
    ("list.csv", 'name\n"x" y\n', "list.csv:2", "something follows the quote that closes a cell"),
    ("list.csv", b"name\nx\0\n", "list.csv:2", "a binary file"),
    ("list.csv", b"name\n" + b"x" * 1_000_001, "list.csv:2", "longer than 1 MB"),
    ("list.csv", "nmae\nred\n", "job.yaml:1:36", "prompts[0].prompt has {name}, which has no value"),
    ("list.csv", "name,b\n,1\n", "list.csv:2", "column name is empty, and the prompt or the id uses it"),
    ("list.csv", "name,count\nx,many\n", "list.csv:2", "column count is 'many'"),
    ("list.csv", "name,seeds\nx,-1\n", "list.csv:2", "column seeds[0] is -1"),
    ("list.csv", "name,aspect_ratio\nx,5:7\n", "list.csv:2", "column aspect_ratios[0] is 5:7"),
    ("list.csv", "name,model\nx,nope\n", "list.csv:2", "column model 'nope'"),
    ("list.csv", "name,id\nx,con\n", "list.csv:2", "column id is 'con'"),
    ("list.csv", "name,prompt\nx,a {\n", "list.csv:2", "column prompt has '{'"),
    ("list.csv", "name,prompt\nx,a {nam}\n", "list.csv:2", "column prompt has {nam}"),
    ("list.csv", "name\nx\nx\n", "list.csv:3", "the same picture as at"),
    ("list.jsonl", "{\n", "list.jsonl:1", "an object goes on over several lines"),
    ("list.jsonl", '{"name": "x"}\n7\n', "list.jsonl:2", "the line is no mapping"),
    ("list.jsonl", '{"name": "x"}\n{"name": 1, "name": 2}\n', "list.jsonl:2", "'name' is written twice"),
    ("list.jsonl", '{"name": NaN}\n', "list.jsonl:1", "NaN is no number"),
    ("list.jsonl", '{"name": null}\n', "list.jsonl:1", "column name is empty"),
    ("list.jsonl", '{"name": {"a": 1}}\n', "list.jsonl:1", "column name is a mapping"),
    ("list.jsonl", '{"name": "\\ud800"}\n', "list.jsonl:1", "U+D800, which can't be sent"),
    ("list.jsonl", '{"a": ' + "[" * 100_000 + "\n", "list.jsonl:1", "nested more than 20 levels deep"),
    ("list.jsonl", '{"name": "x", "parameters": {"add_watermark": 3}}\n', "list.jsonl:1", "add_watermark is 3"),
    ("list.jsonl", '{"name": "x", "count": ' + "9" * 5000 + "}\n", "list.jsonl:1", "column count is '999"),
]


@pytest.mark.parametrize(("name", "content", "place", "message"), BAD)
def test_a_mistake_in_a_row_names_its_line(
    write: Write, name: str, content: str | bytes, place: str, message: str
) -> None:
    found = problems(write(f"prompts: [{{file: {name}, prompt: 'a {{name}}'}}]", **{name: content}))
    assert [problem for problem in found if at(problem) == place and message in problem.message], [*map(str, found)]
    assert all(problem.cure for problem in found)


def test_a_row_needs_a_prompt_from_somewhere(write: Write) -> None:
    (problem,) = problems(write("prompts: [{file: list.csv}]", list__csv="name\nx\ny\n"))
    assert (at(problem), "there is no column prompt; there is name" in problem.message) == ("list.csv:1", True)
    found = problems(write("prompts: [{file: list.csv}]", list__csv="prompt,name\n,x\n,y\n"))
    assert [(at(problem), problem.message) for problem in found] == [
        ("list.csv:2", "the row has no prompt"),
        ("list.csv:3", "the row has no prompt"),
    ]


def test_a_variable_counts_as_used_when_any_row_uses_it(write: Write) -> None:
    path = write("variables: {a: x}\nprompts: [{file: list.csv, variables: {b: y}}]", list__csv="prompt\n{a}\n{b}\n")
    assert [item.prompt for item in items(path)] == ["x", "y"]
    (problem,) = problems(
        write("variables: {a: x}\nprompts: [{file: list.csv, variables: {b: y}}]", list__csv="prompt\n{a}\n")
    )
    assert at(problem) == "job.yaml:2:40"


@pytest.mark.parametrize(
    "file",
    ["../list.csv", "/etc/passwd.csv", "sub/../../list.csv", "loop.csv", "list.exe", "list", "'a\\0b.csv'"],
)
def test_nothing_outside_the_jobs_folder_is_included(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "jobs"
    folder.mkdir()
    (tmp_path / "list.csv").write_text("prompt\nx\n")
    (folder / "loop.csv").symlink_to(folder / "loop.csv")
    path = folder / "job.yaml"
    path.write_text(f"prompts: [{{file: {file}}}]".replace("'a\\0b.csv'", '"a\\0b.csv"'))
    (problem,) = problems(path)
    assert at(problem) == "job.yaml:1:18"
    assert problem.cure


def test_a_link_within_the_folder_is_followed(write: Write, tmp_path: Path) -> None:
    path = write("prompts: [{file: link.txt}]", list__txt="a fox\n")
    (tmp_path / "link.txt").symlink_to("list.txt")
    assert [item.prompt for item in items(path)] == ["a fox"]


def test_a_pipe_or_a_huge_file_is_not_read(write: Write, tmp_path: Path) -> None:
    path = write("prompts: [{file: pipe.txt}, {file: big.txt}, {file: none.txt}]")
    os.mkfifo(tmp_path / "pipe.txt")
    with (tmp_path / "big.txt").open("wb") as file:
        file.truncate(2_000_000_000)
    assert [problem.message.rpartition(": ")[2] for problem in problems(path)] == [
        "it is no regular file",
        "it has 2000 MB",
        "there is no such file",
    ]


@pytest.mark.parametrize("changed", [None, "name\n\n", "other\nx\n", b"name\n\xff\n"])
def test_a_job_is_what_was_read_whatever_becomes_of_its_files(
    write: Write, tmp_path: Path, changed: str | bytes | None
) -> None:
    job = jobfile.load(write("prompts: [{file: list.csv, prompt: 'a {name}'}]", list__csv="name\nx\ny\n"))
    if changed is None:
        (tmp_path / "list.csv").unlink()
    else:
        (tmp_path / "list.csv").write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    assert [item.prompt for item in jobfile.expand(job)] == ["a x", "a y"]


def test_a_list_that_somebody_is_writing_to_is_not_read_half(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("prompts: [{file: list.csv, prompt: 'a {name}'}]", list__csv="name\nx\n")
    real, read = fingerprint.digest_of, 0

    def growing(file: Path) -> str | None:
        nonlocal read
        if file.name == "list.csv" and (read := read + 1) % 2:
            with file.open("a") as more:
                more.write(f"y{read}\n")
            return "as it was before"
        return real(file)

    monkeypatch.setattr(loading, "digest_of", growing)
    with pytest.raises(UsageError, match="changes while it is read"):
        jobfile.load(path)
    assert read == 2 * loading.READINGS


def test_a_long_list_is_never_held_in_memory(write: Write) -> None:
    def peak(rows: int) -> int:
        job = jobfile.load(
            write(
                "prompts: [{file: list.jsonl, prompt: 'a {name}'}]",
                list__jsonl="".join(f'{{"name": "thing {n}"}}\n' for n in range(rows)),
            )
        )
        tracemalloc.start()
        assert sum(1 for _ in jobfile.expand(job)) == rows
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    # Two handfuls of rows may be held at the same time, and never more.
    assert peak(8000) < peak(2000) + 300_000
