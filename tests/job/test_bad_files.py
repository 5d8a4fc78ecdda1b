"""Everything that can be wrong with a job: where it is, what was found, and the cure, on the right line."""

import errno
import os
from pathlib import Path

import pytest

from pipeline import job as jobfile
from pipeline.errors import UsageError
from tests.job.conftest import Write, at, problems

# Text of the job, the place, a part of the message, a part of the cure.
BAD = [
    # Not a job at all.
    ("", "job.yaml", "the file is empty", "prompts:"),
    ("# only a comment\n", "job.yaml", "the file is empty", "prompts:"),
    ("- a\n- b\n", "job.yaml:1:1", "holds a list", "write `prompts:` above"),
    ("just text\n", "job.yaml:1:1", "holds text", "prompts:"),
    ("name: x\n", "job.yaml:1:1", "prompts is missing", "add prompts:"),
    ("prompts: []\n", "job.yaml:1:10", "prompts is empty", "at least one"),
    ("prompts: text\n", "job.yaml:1:10", "prompts is 'text'", "write a list"),
    ("prompts:\n", "job.yaml:1:9", "prompts is empty", "write a list"),
    # YAML itself.
    ("prompts: [a\n", "job.yaml:2:1", "no valid YAML", "quotes"),
    ("prompts:\n\t- a\n", "job.yaml:2:1", "no valid YAML", "indent with spaces"),
    ("prompts: [a]\n---\nname: b\n", "job.yaml:2:1", "a second document", "one job in a file"),
    (
        "name: a\nprompts: [a]\nname: b\n",
        "job.yaml:3:1",
        "'name' is written twice: on line 1 and on line 3",
        "keep one",
    ),
    (
        "prompts: !!python/object/apply:os.system [ls]\n",
        "job.yaml:1:10",
        "tag !!python/object/apply:os.system",
        "remove",
    ),
    ("prompts: !secret [a]\n", "job.yaml:1:10", "the tag !secret has no meaning", "remove"),
    ("prompts: [*nobody]\n", "job.yaml:1:11", "*nobody has no anchor", "&nobody"),
    ("prompts: &a [*a]\n", "job.yaml:1:14", "*a stands inside what it repeats", "write it out"),
    ("? [a, b]\n: c\n", "job.yaml:1:3", "a key is a list", "write a word"),
    ("prompts:\n  - <<: text\n    prompt: a\n", "job.yaml:2:9", "no mapping", "mapping"),
    ("prompts: [a\x01b]\n", "job.yaml:1:12", "character 0x01", "remove it"),
    ("prompts: " + "[" * 40 + "]" * 40, "job.yaml:1:29", "more than 20 levels", "four or five"),
    # Unknown keys.
    ("nmae: x\nprompts: [a]\n", "job.yaml:1:1", "nmae is unknown", "did you mean name?"),
    ("qqq: x\nprompts: [a]\n", "job.yaml:1:1", "qqq is unknown", "the keys here are name, model"),
    ("count: 2\nprompts: [a]\n", "job.yaml:1:1", "count is unknown here", "belongs to a prompt entry"),
    ("prompts: [{prompt: a, limits: {}}]\n", "job.yaml:1:23", "prompts[0].limits is unknown", "the top of the file"),
    ("prompts: [{prompt: a, Seed: 1}]\n", "job.yaml:1:23", "prompts[0].Seed is unknown", "did you mean seeds?"),
    ("prompts: [a]\nlimits: {concurency: 3}\n", "job.yaml:2:10", "limits.concurency is unknown", "concurrency?"),
    ("prompts: [a]\napi_key: sk-123\n", "job.yaml:2:1", "api_key has no place", "AIML_API_KEY"),
    ("prompts: [a]\nparameters: {Authorization: x}\n", "job.yaml:2:29", "Authorization has no place", "AIML_API_KEY"),
    # Single values.
    ("name: a/b\nprompts: [a]\n", "job.yaml:1:7", "name is 'a/b', which can't name a file", "letters"),
    ("model:\nprompts: [a]\n", "job.yaml:1:7", "model is empty", "write text"),
    ("endpoint: sandbx\nprompts: [a]\n", "job.yaml:1:11", "endpoint is 'sandbx'", "did you mean sandbox?"),
    (
        "endpoint: elsewhere\nprompts: [a]\n",
        "job.yaml:1:11",
        "endpoint is 'elsewhere'",
        "aimlapi, sandbox, or the base",
    ),
    ("endpoint: ftp://x/y\nprompts: [a]\n", "job.yaml:1:11", "is no base URL", "http://"),
    ("output: ''\nprompts: [a]\n", "job.yaml:1:9", "output is empty", "write text"),
    ("output: /\nprompts: [a]\n", "job.yaml:1:9", "output is '/': the root", "build/job"),
    ("output: '~'\nprompts: [a]\n", "job.yaml:1:9", "the home", "build/job"),
    (
        "output: ~nobody-of-that-name/x\nprompts: [a]\n",
        "job.yaml:1:9",
        "there is no such home folder",
        "write the whole path",
    ),
    ('output: "a\\0b"\nprompts: [a]\n', "job.yaml:1:9", "can't name a folder", "path"),
    ("parameters: [a]\nprompts: [a]\n", "job.yaml:1:13", "parameters is a list", "keys below it"),
    ("variables: x\nprompts: [a]\n", "job.yaml:1:12", "variables is 'x'", "keys below it"),
    ("variables: {1st: x}\nprompts: ['{1st}']\n", "job.yaml:1:12", "'1st', which can't stand in braces", "letter"),
    ("variables: {a: []}\nprompts: ['{a}']\n", "job.yaml:1:16", "variables.a is empty", "write at least one value"),
    ("variables: {a: [x, x]}\nprompts: ['{a}']\n", "job.yaml:1:16", "has 'x' twice", "keep one"),
    ("variables: {a: [x, [y]]}\nprompts: ['{a}']\n", "job.yaml:1:16", "variables.a is a list", "write text"),
    (
        "limits: {on_unknown_outcome: perhaps}\nprompts: [a]\n",
        "job.yaml:1:30",
        "limits.on_unknown_outcome is 'perhaps'",
        "write 'retry'",
    ),
    ("check: pixels\nprompts: [a]\n", "job.yaml:1:8", "check is 'pixels'", "write 'structure'"),
    ("check: [decode]\nprompts: [a]\n", "job.yaml:1:8", "check is a list", "write text"),
    ("check: yes\nprompts: [a]\n", "job.yaml:1:8", "check is", "write 'structure'"),
    ("limits: {billing_lag: -1}\nprompts: [a]\n", "job.yaml:1:23", "limits.billing_lag is -1", "write at least 0"),
    ("limits: {concurrency: 0}\nprompts: [a]\n", "job.yaml:1:23", "limits.concurrency is 0", "at least 1"),
    ("limits: {downloads: 1000}\nprompts: [a]\n", "job.yaml:1:21", "limits.downloads is 1000", "at most 256"),
    ("limits: {attempts: x}\nprompts: [a]\n", "job.yaml:1:20", "limits.attempts is 'x'", "whole number"),
    ("limits: {requests_per_minute: 0}\nprompts: [a]\n", "job.yaml:1:31", "is 0", "more than 0"),
    ("limits: {grace: .inf}\nprompts: [a]\n", "job.yaml:1:17", "limits.grace is .inf", "write a span of time"),
    ("limits: {attempts: " + "9" * 5000 + "}\nprompts: [a]\n", "job.yaml:1:20", "…", "whole number"),
    ("limits: 5\nprompts: [a]\n", "job.yaml:1:9", "limits is 5", "keys below it"),
    # Entries.
    ("prompts:\n  - a\n  -\n", "job.yaml:3:4", "prompts[1] is empty", "remove the line"),
    ("prompts: [[a]]\n", "job.yaml:1:11", "prompts[0] is a list", "keys below it"),
    ("prompts: [{id: x}]\n", "job.yaml:1:11", "prompts[0] has no prompt", "add prompt:"),
    ("prompts: [{id: con, prompt: a}]\n", "job.yaml:1:16", "'con', which is a reserved name", "con-1"),
    ("prompts: [{id: Com1.x, prompt: a}]\n", "job.yaml:1:16", "reserved", "Com1-1"),
    ("prompts: [{id: .., prompt: a}]\n", "job.yaml:1:16", "can't name a file", "letters"),
    ("prompts: [{id: a., prompt: a}]\n", "job.yaml:1:16", "ends with a dot", "remove"),
    ("prompts: [{id: " + "a" * 81 + ", prompt: a}]\n", "job.yaml:1:16", "has 81 characters", "shorten it to 80"),
    ("prompts: [{prompt: a, count: 0}]\n", "job.yaml:1:30", "prompts[0].count is 0", "at least 1"),
    ("prompts: [{prompt: a, count: 1.5}]\n", "job.yaml:1:30", "prompts[0].count is 1.5", "whole number"),
    ("prompts: [{prompt: a, count: true}]\n", "job.yaml:1:30", "prompts[0].count is true", "whole number"),
    (
        "prompts: [{prompt: a, count: 1, seeds: [1, 2]}]\n",
        "job.yaml:1:30",
        "count is 1, and there are 2 seeds",
        "count: 2",
    ),
    ("prompts: [{prompt: a, seeds: [1, x]}]\n", "job.yaml:1:34", "prompts[0].seeds[1] is 'x'", "whole number"),
    ("prompts: [{prompt: a, seeds: [1, 1]}]\n", "job.yaml:1:34", "seeds[1] is 1 a second time", "keep one"),
    ("prompts: [{prompt: a, seeds: 4294967296}]\n", "job.yaml:1:30", "seeds[0] is 4294967296", "0 to 4294967295"),
    # The model.
    ("model: google/imagen-4\nprompts: [a]\n", "job.yaml:1:8", "model 'google/imagen-4'", "google/imagen-4.0-fast"),
    ("model: qqqqqqqq\nprompts: [a]\n", "job.yaml:1:8", "model 'qqqqqqqq' is not known", "for example"),
    ("prompts: [{prompt: a, model: nope-9}]\n", "job.yaml:1:30", "prompts[0].model 'nope-9'", ""),
    ("aspect_ratios: [1:1, 5:7]\nprompts: [a]\n", "job.yaml:1:22", "aspect_ratios[1] is 5:7", "it has 1:1, 9:16"),
    ("aspect_ratios: [1:1, 1x1]\nprompts: [a]\n", "job.yaml:1:22", "1:1 a second time", "keep one"),
    ("aspect_ratios: [wide]\nprompts: [a]\n", "job.yaml:1:17", "aspect_ratios[0] is wide", "it has 1:1"),
    ("aspect_ratios: [1.5]\nprompts: [a]\n", "job.yaml:1:17", "aspect_ratios[0] is 1.5", "16:9"),
    ("aspect_ratios: [0:1]\nprompts: [a]\n", "job.yaml:1:17", "is '0:1'", "width:height"),
    ("prompts: [{prompt: a, aspect_ratios: {a: b}}]\n", "job.yaml:1:38", "is a mapping", "write a list"),
    (
        "prompts: [{prompt: a, aspect_ratios: 1:1, model: x-ai/grok-2-image}]\n",
        "job.yaml:1:38",
        "x-ai/grok-2-image lacks",
        "aspect_ratios: []",
    ),
    (
        "model: openai/gpt-image-1\nprompts: [{prompt: a, seeds: 3}]\n",
        "job.yaml:2:30",
        "openai/gpt-image-1 takes none",
        "write count",
    ),
    (
        "parameters: {enhance_promt: no}\nprompts: [a]\n",
        "job.yaml:1:29",
        "no parameter 'enhance_promt'",
        "enhance_prompt?",
    ),
    ("parameters: {enhance_prompt: no}\nprompts: [a]\n", "job.yaml:1:30", "enhance_prompt is 'no'", "true or false"),
    (
        "parameters: {seed: 4}\nprompts: [a]\n",
        "job.yaml:1:20",
        "seed is no further parameter",
        "write seeds: in the prompt entry",
    ),
    (
        "parameters: {num_images: 4}\nprompts: [a]\n",
        "job.yaml:1:26",
        "no further parameter",
        "write count: in the prompt entry",
    ),
    (
        "model: flux/dev\nparameters: {image_size: {width: 500, height: 512}}\nprompts: [a]\n",
        "job.yaml:2:34",
        "image_size.width is 500",
        "512 to 1536",
    ),
    (
        "model: flux/dev\nparameters: {image_size: square}\naspect_ratios: 1:1\nprompts: [a]\n",
        "job.yaml:3:16",
        "aspect_ratios and parameters.image_size both say the shape",
        "image_size: null",
    ),
    (
        "parameters: {add_watermark: true}\nprompts: [{prompt: a, model: flux/dev}]\n",
        "job.yaml:2:11",
        "flux/dev has no parameter 'add_watermark'",
        "parameters: {add_watermark: null}",
    ),
    (
        "prompts: [{prompt: a, model: alibaba/qwen-image-edit}]\n",
        "job.yaml:1:11",
        "alibaba/qwen-image-edit needs image",
        "add image",
    ),
    # Prompts and variables.
    ("prompts: ['" + "x" * 401 + "']\n", "job.yaml:1:11", "has 401 characters", "shorten it by 1"),
    (
        "prompts: ['a {b} c']\n",
        "job.yaml:1:11",
        "prompts[0].prompt has {b}, which has no value",
        "no variables; write {{b}}",
    ),
    (
        "variables: {animal: fox}\nprompts: ['{animl}', '{animal}']\n",
        "job.yaml:2:11",
        "{animl}",
        "did you mean {animal}?",
    ),
    ("variables: {a: fox, c: x}\nprompts: ['{a}']\n", "job.yaml:1:21", "variables.c is used by no prompt", "write {c}"),
    ("prompts: [{prompt: a, variables: {b: x}}]\n", "job.yaml:1:35", "prompts[0].variables.b is used by no", "{b}"),
    ("prompts: ['a { b']\n", "job.yaml:1:11", "prompts[0].prompt has '{'", "{{ and }} for braces"),
    ("prompts: ['a {1} b']\n", "job.yaml:1:11", "has '{1}'", "{name} for a variable"),
    ("prompts: [{prompt: '{" + "-" * 60 + "}'}]\n", "job.yaml:1:20", "…", "{name}"),
    (
        "variables: {a: ' '}\nprompts: ['{a}']\n",
        "job.yaml:2:11",
        "prompts[0].prompt is empty",
        "what the picture shows",
    ),
    ('variables: {a: "\\x07"}\nprompts: ["x{a}y"]\n', "job.yaml:2:11", "U+0007, which can't be sent", "remove it"),
    ("prompts: [a, a]\n", "job.yaml:1:14", "the same picture as at", "count"),
    ("prompts: [a, {prompt: a, count: 3}]\n", "job.yaml:1:14", "the same picture", "count"),
    ("prompts: [{id: x, prompt: a}, {id: X, prompt: b}]\n", "job.yaml:1:31", "would be the file X", "another id"),
    (
        "prompts: [{id: x, prompt: a, count: 2}, {id: x-2, prompt: b}]\n",
        "job.yaml:1:41",
        "would be the file x-2",
        "another id",
    ),
    (
        "".join(f"x-{n}: &v{n} [{', '.join(str(i) for i in range(200))}]\n" for n in range(3))
        + "variables: {a: *v0, b: *v1, c: *v2}\nprompts: ['{a} {b} {c}']\n",
        "job.yaml:5:11",
        "more than 1,000,000 items",
        "fewer values",
    ),
]


@pytest.mark.parametrize(("text", "place", "message", "cure"), BAD)
def test_a_mistake_is_shown_where_it_is_with_its_cure(
    write: Write, text: str, place: str, message: str, cure: str
) -> None:
    found = problems(write(text))
    fitting = [problem for problem in found if at(problem) == place and message in problem.message]
    assert fitting, [str(problem) for problem in found]
    assert cure in fitting[0].cure


def test_all_mistakes_are_shown_at_once_in_the_order_of_the_file(write: Write) -> None:
    path = write(
        "nmae: x\n"
        "aspect_ratios: [5:7]\n"
        "variables: {season: autumn, fox: 1st}\n"
        "prompts:\n"
        "  - {id: con, prompt: 'a {fx}'}\n"
        "  - {prompt: 'a {', seeds: [-1, x]}\n"
        "  - {file: list.csv}\n"
        "  - a\n"
        "  - a\n"
        "limits: {attempts: 0}\n",
        list__csv="prompt\n" + "x" * 500 + "\n",
    )
    found = problems(path)
    assert [at(problem) for problem in found] == [
        "job.yaml:1:1",
        "job.yaml:2:17",
        "job.yaml:3:13",
        "job.yaml:3:29",
        "job.yaml:5:10",
        "job.yaml:5:23",
        "job.yaml:6:14",
        "job.yaml:6:33",
        "job.yaml:9:5",
        "job.yaml:10:20",
        "list.csv:2",
    ]


def test_the_error_counts_its_mistakes(write: Write) -> None:
    path = write("a: 1\nb: 2\nprompts: [x]\n")
    with pytest.raises(UsageError, match=r"job\.yaml: 2 mistakes$"):
        jobfile.load(path)


@pytest.mark.parametrize("row", ["{a}\n", "a\n"])
def test_reading_ends_at_a_thousand_mistakes(write: Write, row: str) -> None:
    path = write("prompts:\n  - file: list.csv\n", list__csv="prompt\n" + row * 3000)
    with pytest.raises(UsageError, match="1000 mistakes and perhaps more"):
        jobfile.load(path)


def test_a_secret_is_never_repeated(write: Write) -> None:
    path = write(
        "api_key: sk-42\nendpoint: https://sk-42@host/?token=sk-42\nparameters: {token: sk-42}\nprompts: [a]\n"
    )
    found = problems(path)
    assert len(found) >= 3
    assert not any("sk-42" in str(problem) for problem in found)


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (b"prompts:\n  - caf\xe9\n", "job.yaml:2:8", "not UTF-8 (byte 0xe9)"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "job.yaml:3", "a binary file"),
        ("prompts: [a]".encode("utf-16"), "job.yaml", "UTF-16"),
    ],
)
def test_what_is_no_text_gives_one_line(write: Write, content: bytes, place: str, message: str) -> None:
    (problem,) = problems(write(content))
    assert (at(problem), message in problem.message) == (place, True)


def test_a_byte_order_mark_is_no_mistake(write: Write) -> None:
    assert jobfile.load(write(b"\xef\xbb\xbfprompts: [a]\n")).name == "job"


def test_a_sparse_file_of_two_gigabytes_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    with path.open("wb") as file:
        file.truncate(2_000_000_000)
    (problem,) = problems(path)
    assert "2000 MB" in problem.message


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "no regular file" in problems(tmp_path / "pipe.yaml")[0].message
    assert "a folder" in problems(tmp_path)[0].message
    assert "no such file" in problems(tmp_path / "none.yaml")[0].message
    assert "can't be opened" in problems(tmp_path / "\0")[0].message


def test_a_file_that_may_not_be_read_says_so(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("prompts: [a]")

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", forbidden)
    assert "can't be opened: Permission denied" in problems(path)[0].message


def bomb(width: int = 9, depth: int = 9) -> str:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, depth)]
    return "\n".join(levels) + "\n"


def merge_bomb() -> str:
    levels = ["a0: &a0 {" + ", ".join(f"k{n}: [x, x, x, x, x, x, x, x]" for n in range(400)) + "}"]
    levels += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    return "\n".join(levels) + "\n"


@pytest.mark.parametrize("text", [bomb(), merge_bomb(), "[" * 100_000, "a: " + "{b: " * 100_000, "- " * 100_000])
def test_a_bomb_is_refused_with_one_line(write: Write, text: str) -> None:
    path = write(text)
    (problem,) = problems(path)
    assert "aliases repeat more than 100000 nodes" in problem.message or "20 levels" in problem.message
