"""Lists in the encodings that people have them in."""

import pytest

from pipeline import job as jobfile
from tests.job.conftest import Write, at, items, problems

TEXT = "id,prompt\r\na,Café für “zwei”\r\n"
JOB = "prompts: [{file: list.csv}]"


def named(encoding: str) -> str:
    return f"prompts: [{{file: list.csv, encoding: {encoding}}}]"


def prompts(write: Write, job: str, content: bytes) -> list[str]:
    return [item.prompt for item in items(write(job, list__csv=content))]


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
    ],
    ids=["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "utf-32"],
)
def test_a_mark_says_how_a_list_is_written(write: Write, content: bytes) -> None:
    path = write(JOB, list__csv=content)
    job = jobfile.load(path)
    assert (job.notes, [item.prompt for item in jobfile.expand(job)]) == ((), ["Café für “zwei”"])


def test_windows_1252_is_read_and_said(write: Write) -> None:
    job = jobfile.load(write(JOB, list__csv=TEXT.encode("cp1252")))
    (note,) = job.notes
    assert "list.csv is not UTF-8: it is read as windows-1252 (line 2: a,Café für “zwei”)" in note
    assert "encoding: windows-1252" in note
    assert [item.prompt for item in jobfile.expand(job)] == ["Café für “zwei”"]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("windows-1252", "Café"),
        ("latin-1", "Café"),
        ("windows-1251", "красная лиса"),
        ("shift_jis", "赤い狐"),
        ("gb18030", "红狐狸"),
        ("mac-roman", "Café"),
        ("utf-16", "Café"),
        ("utf-16-le", "Café"),
        ("UTF8", "Café"),
        ("utf-8-sig", "Café"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_named_encoding_is_read_and_not_spoken_of(write: Write, encoding: str, text: str, end: str) -> None:
    path = write(named(encoding), list__csv=end.join(["id,prompt", f"a,{text}", f"b,{text} 2"]).encode(encoding))
    job = jobfile.load(path)
    assert (job.notes, [item.prompt for item in jobfile.expand(job)]) == ((), [text, f"{text} 2"])


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("windows-1251", "красная лиса"),
        ("koi8-r", "красная лиса"),
        ("iso-8859-7", "κόκκινη αλεπού"),
        ("shift_jis", "赤い狐"),
        ("gb18030", "红狐狸在雪中"),
        ("mac-roman", "Café"),
        ("cp850", "ein grüner Bär"),
        ("windows-1250", "biały żółw"),
    ],
)
def test_what_is_neither_utf_8_nor_windows_1252_is_refused(write: Write, encoding: str, text: str) -> None:
    (problem,) = problems(write(JOB, list__csv=f"id,prompt\na,{text}\n".encode(encoding)))
    assert at(problem).startswith("list.csv:2:")
    assert "not UTF-8" in problem.message
    assert "encoding: windows-1251" in problem.cure


@pytest.mark.parametrize(
    "content", ["für\n".encode("cp1252") + "Café\n".encode(), "Café\n".encode() + "für\n".encode("cp1252")]
)
def test_two_encodings_in_one_file_are_refused(write: Write, content: bytes) -> None:
    (problem,) = problems(write("prompts: [{file: list.txt}]", list__txt=content))
    assert (at(problem), "two encodings in one file" in problem.message) == ("list.txt:2", True)


def test_a_mark_of_utf_8_is_held_to(write: Write) -> None:
    (problem,) = problems(write(JOB, list__csv=b"\xef\xbb\xbfid,prompt\na,caf\xe9\n"))
    assert (at(problem), "not UTF-8 (byte 0xe9)" in problem.message) == ("list.csv:2:6", True)


def test_a_byte_that_the_named_encoding_lacks_is_placed(write: Write) -> None:
    rows = "".join(f"{n},x{n}\r\n" for n in range(5000))
    (problem,) = problems(write(named("ascii"), list__csv=f"id,prompt\r\n{rows}a,Café\r\n".encode()))
    assert (at(problem), problem.message) == ("list.csv:5002", "byte 0xc3 is not ascii")


def test_half_a_character_at_the_end_is_refused(write: Write) -> None:
    (problem,) = problems(write(named("utf-16"), list__csv=TEXT.encode("utf-16")[:-1]))
    assert "the end of the file is not utf-16" in problem.message


@pytest.mark.parametrize(("order", "encoding"), [("le", "utf-16-le"), ("be", "utf-16-be")])
def test_utf_16_without_a_mark_is_named(write: Write, order: str, encoding: str) -> None:
    (problem,) = problems(write(JOB, list__csv=TEXT.encode(encoding)))
    assert (at(problem), problem.cure) == ("job.yaml:1:18", f"write encoding: utf-16-{order} in the entry")


def test_a_mark_against_the_named_encoding_is_a_mistake(write: Write) -> None:
    (problem,) = problems(write(named("windows-1252"), list__csv=TEXT.encode("utf-8-sig")))
    assert "begins with the mark of UTF-8, not of windows-1252" in problem.message


@pytest.mark.parametrize(
    ("encoding", "cure"),
    [
        ("windows-1225", "did you mean windows-125"),
        ("zip", "for example"),
        ("rot13", "for example"),
        ("''", "write text"),
    ],
)
def test_only_encodings_of_text_can_be_named(write: Write, encoding: str, cure: str) -> None:
    (problem,) = problems(write(named(encoding), list__csv=TEXT))
    assert (at(problem), cure in problem.cure) == ("job.yaml:1:38", True)


def test_a_list_is_not_read_in_another_encoding_than_the_one_that_was_misspelt(write: Write) -> None:
    job = "prompts: [{file: list.csv, encoding: windows-12510}, x]"
    (problem,) = problems(write(job, list__csv="id,prompt\na,красная лиса\n".encode("cp1251")))
    assert "which is not a text encoding" in problem.message


def test_an_encoding_belongs_to_a_list(write: Write) -> None:
    (problem,) = problems(write("prompts: [{prompt: x, encoding: utf-8}]"))
    assert (at(problem), "belongs to an included file" in problem.message) == ("job.yaml:1:23", True)


def test_a_long_line_is_refused_in_any_encoding(write: Write) -> None:
    content = f"id,prompt\na,{'x' * 1_000_001}\n".encode("utf-16")
    (problem,) = problems(write(JOB, list__csv=content))
    assert (at(problem), "longer than 1 MB" in problem.message) == ("list.csv:2", True)
