"""Tables as spreadsheets, databases and people write them."""

import pytest

from pipeline import job as jobfile
from pipeline.job.yaml import lines
from tests.job.conftest import Write, at, items, problems

JOB = "prompts: [{{file: list.{}}}]"


def rows(write: Write, text: str, suffix: str = "csv") -> list[tuple[str, str]]:
    """The ids and prompts that a table makes."""
    found = items(write(JOB.format(suffix), **{f"list.{suffix}": text}))
    return [(item.id, item.prompt) for item in found]


def mistake(write: Write, text: str, suffix: str = "csv") -> tuple[str, str, str]:
    """The one mistake of a table: its place, what was found, and the cure."""
    (problem,) = problems(write(JOB.format(suffix), **{f"list.{suffix}": text}))
    return at(problem), problem.message, problem.cure


@pytest.mark.parametrize(
    "text",
    [
        "id,prompt\na,a fox; running\nb,b\n",
        "id;prompt\na;a fox; running\nb;b\n".replace("a fox; running", '"a fox; running"'),
        "id\tprompt\na\ta fox; running\nb\tb\n",
        "sep=|\nid|prompt\na|a fox; running\nb|b\n",
        'sep=;\r\n"id";"prompt"\r\n"a";"a fox; running"\r\n"b";"b"\r\n',
        '"sep=\t"\nid\tprompt\na\ta fox; running\nb\tb\n',
        "\n\nSEP=~\n\nid~prompt\na~a fox; running\nb~b\n",
    ],
)
def test_the_header_line_decides_what_separates_the_columns(write: Write, text: str) -> None:
    assert rows(write, text) == [("a", "a fox; running"), ("b", "b")]


def test_a_comma_in_a_cell_of_a_semicolon_table_is_text(write: Write) -> None:
    assert rows(write, "id;prompt\na;a red fox, running\n") == [("a", "a red fox, running")]


def test_a_quoted_name_says_nothing_of_the_separator(write: Write) -> None:
    assert rows(write, 'id;prompt;"size, weight, colour"\na;x;1\n') == [("a", "x")]


def test_a_tsv_is_a_table(write: Write) -> None:
    assert rows(write, 'id\tprompt\na\t"x ""y"", z"\n', "tsv") == [("a", 'x "y", z')]


def test_columns_parted_by_an_unusual_sign_are_told_of_once(write: Write) -> None:
    place, message, cure = mistake(write, "id|prompt\na|x\nb|y\n")
    assert (place, "separated by |" in message, "sep=|" in cure) == ("list.csv:1", True, True)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_every_line_end_ends_a_row(write: Write, end: str) -> None:
    text = end.join(["id,prompt", 'a,"two', 'lines"', "", "b,y", ""])
    # CRLF in a cell stays as it came: a picture's key depends on its prompt to the letter.
    assert rows(write, text) == [("a", f"two{end if end == chr(13) + chr(10) else chr(10)}lines"), ("b", "y")]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_every_line_end_ends_a_line_of_text_and_of_json(write: Write, end: str) -> None:
    assert [prompt for _, prompt in rows(write, end.join(["x", "", "y"]), "txt")] == ["x", "y"]
    assert [prompt for _, prompt in rows(write, end.join(['{"prompt": "x"}', '{"prompt": "y"}']), "jsonl")] == [
        "x",
        "y",
    ]


def test_a_line_end_is_found_on_the_border_of_two_reads(write: Write) -> None:
    for length in range(lines.CHUNK - 6, lines.CHUNK + 6):
        path = write(JOB.format("txt"), list__txt=f"# {'y' * (length - 4)}\r\nx\r\n\r\ny")
        assert [(item.prompt, item.place.line) for item in items(path)] == [("x", 2), ("y", 4)]


@pytest.mark.parametrize("character", ["a\\rb", "a\\r\\rb", "\\ra\\u000d\\u0008"])
def test_a_carriage_return_alone_is_never_sent(write: Write, character: str) -> None:
    (problem,) = problems(write(f'prompts: ["x{character}y"]'))
    assert "U+000D, which can't be sent" in problem.message


def test_columns_without_name_and_value_are_none(write: Write) -> None:
    assert rows(write, "id,prompt,,\na,x,,\nb,y,,\n") == [("a", "x"), ("b", "y")]
    assert rows(write, "id,,prompt\na,,x\n") == [("a", "x")]
    assert rows(write, "id;prompt\na;x;;;\nb;y;\n") == [("a", "x"), ("b", "y")]
    assert rows(write, "id,prompt,,\na,x\n") == [("a", "x")]


def test_a_value_below_no_name_is_told_of_once(write: Write) -> None:
    place, message, cure = mistake(write, "id,prompt,,\na,x,,\nb,y,z,\nc,y,z,\n")
    assert (place, message) == ("list.csv:1", "column 3 has no name, and line 3 has 'z' in it")
    assert "remove it" in cure


@pytest.mark.parametrize(
    "again", ["id,prompt", "ID, Prompt", "\ufeffid,prompt", '"id","prompt"', "prompt,id", "id,prompt,,"]
)
def test_the_header_once_more_is_a_mistake(write: Write, again: str) -> None:
    place, message, cure = mistake(write, f"id,prompt\na,x\n{again}\nb,y\n")
    assert (place, cure) == ("list.csv:3", "remove the line")
    assert "header of line 1 stands here again" in message


def test_a_row_that_holds_a_name_is_not_the_header(write: Write) -> None:
    assert rows(write, "id,prompt\nprompt,id\nid,x\n".replace("prompt,id", "prompt,a fox")) == [
        ("prompt", "a fox"),
        ("id", "x"),
    ]


def test_a_space_before_a_quote_is_no_text(write: Write) -> None:
    assert rows(write, 'id, prompt\na, "x, y"\nb,  "z"\n') == [("a", "x, y"), ("b", "z")]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ('id,prompt\na,"x\nb,y\n', "list.csv:2", "a quote that opens in this row is not closed"),
        ('id,prompt\na,"x" y\nb,z\n', "list.csv:2", "something follows the quote that closes a cell"),
        (f"id,prompt\na,{'x' * 200_000}\n", "list.csv:2", "a cell is too long"),
        ('"id,prompt\na,x\n', "list.csv:1", "is not closed"),
    ],
)
def test_a_broken_quote_is_told_of_in_our_words(write: Write, text: str, place: str, message: str) -> None:
    where, found, _ = mistake(write, text)
    assert (where, message in found) == (place, True)


def test_the_cure_for_a_wrong_number_of_cells_names_the_separator(write: Write) -> None:
    assert "add or remove semicolons; a cell with a semicolon" in mistake(write, "id;prompt\na;x;y\n")[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[\n{"prompt": "x"},\n{"prompt": "y"}\n]\n', "this is a JSON array"),
        ('[{"prompt": "x"}, {"prompt": "y"}]', "this is a JSON array"),
        ('\n\n[\n  {\n "prompt": "x"}]', "this is a JSON array"),
        ('{\n  "prompt": "x"\n}\n', "an object goes on over several lines"),
    ],
)
def test_json_that_is_not_a_line_a_row_is_told_of_once(write: Write, text: str, message: str) -> None:
    _, found, cure = mistake(write, text, "jsonl")
    assert message in found
    assert "jq -c" in cure


@pytest.mark.parametrize("levels", [21, 900, 40_000])
def test_deep_json_is_refused_by_its_depth(write: Write, levels: int) -> None:
    text = f'{{"prompt": "[[[", "x": {"[" * levels}{"]" * levels}}}\n'
    assert "nested more than 20 levels deep" in mistake(write, text, "jsonl")[1]


def test_brackets_in_text_are_not_depth(write: Write) -> None:
    prompt = "[" * 60 + r"\" [["
    assert rows(write, f'{{"id": "a", "prompt": "{prompt}"}}\n', "jsonl") == [("a", "[" * 60 + '" [[')]


def test_a_doubtful_comment_in_a_text_file_is_told_of_and_can_be_a_prompt(write: Write) -> None:
    path = write(JOB.format("txt"), list__txt="# a comment\n#\n## another\n#1 dad mug\n#2 dad mug\n\\#3 dad mug\nx\n")
    job = jobfile.load(path)
    (note,) = job.notes
    assert "list.txt, line 4: '#1 dad mug' is passed over" in note
    assert [item.prompt for item in jobfile.expand(job)] == ["#3 dad mug", "x"]
