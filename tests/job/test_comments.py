"""Comments: where one may have cut a text short it is a mistake, and everywhere else it is a comment."""

import pytest

from pipeline import job as jobfile
from tests.job.conftest import Write, at, items, problems

CUT = [
    (
        "prompts:\n  - a mug with the text #1 dad\n",
        "job.yaml:2:25",
        "after 'a mug with the text'",
        '"a mug with the text #1 dad"',
    ),
    ("prompts:\n  - prompt: a mug\t#1 dad\n", "job.yaml:2:19", "after 'a mug'", '"a mug #1 dad"'),
    ("prompts:\n  - two\n    lines #3\n", "job.yaml:3:11", "after 'two lines'", '"two lines #3"'),
    ('prompts:\n  - a "mug" #1\n', "job.yaml:2:13", "after 'a \"mug\"'", "'a \"mug\" #1'"),
    ("prompts:\r\n  - émile 🦊 #1\r\n  - b\r\n", "job.yaml:2:13", "after 'émile 🦊'", '"émile 🦊 #1"'),
    ("prompts: [\n  a,\n  b #2\n]\n", "job.yaml:3:5", "after 'b'", '"b #2"'),
    ("prompts:\n  - a\n  - #1 dad mug\n", "job.yaml:3:5", "here everything from # on", '"#1 dad mug"'),
    ("prompts:\n  - prompt: #1 dad mug\n", "job.yaml:2:13", "here everything from # on", '"#1 dad mug"'),
    ("prompts:\n  - 007 #1\n", "job.yaml:2:9", "everything from # on", "#1"),
    ("variables:\n  v: C #\nprompts: ['{v}']\n", "job.yaml:2:8", "after 'C'", '"C #"'),
    ("variables:\n  v:\n    - C\n    - C #2\nprompts: ['{v}']\n", "job.yaml:4:9", "after 'C'", '"C #2"'),
    ("prompts:\n  - prompt: '{v}'\n    variables:\n      v: a #1\n", "job.yaml:4:12", "after 'a'", '"a #1"'),
    ("x-s: &s a style #2\nprompts: [*s]\n", "job.yaml:1:17", "after 'a style'", '"a style #2"'),
    ("x-e: &e\n  prompt: a #3\nprompts:\n  - <<: *e\n    count: 2\n", "job.yaml:2:13", "after 'a'", '"a #3"'),
    ("parameters:\n  negative_prompt: blur #1\nprompts: [a]\n", "job.yaml:2:25", "after 'blur'", '"blur #1"'),
]


@pytest.mark.parametrize(("text", "place", "message", "cure"), CUT)
def test_a_comment_that_cuts_a_text_short_is_a_mistake(
    write: Write, text: str, place: str, message: str, cure: str
) -> None:
    found = problems(write(text))
    fitting = [problem for problem in found if at(problem) == place and message in problem.message]
    assert fitting, [*map(str, found)]
    assert cure in fitting[0].cure


def test_a_comment_is_one_everywhere_else(write: Write) -> None:
    path = write("""\
# on top
name: x  # a name
model: google/imagen-4.0-ultra-generate-001  # a model
aspect_ratios: [1:1]  # a list
variables:  # all of them
  # on its own line
  n: 5  # a number
  v: "in quotes #1"  # after quotes
  w: [a, b]  # after a list
prompts:  # here they come
  # and here
  - "{v} {n}"  # after quotes
  - 'b # c'  # after others
  - |  # a block
    c # d
  - prompt: >-  # folded
      {w} # f
    count: 2  # two
    seeds: 7  # one
    parameters: {safety_setting: block_only_high}  # after a mapping
  - text#with a sign
limits:
  patience: 5 minutes  # a span
""")
    prompts = [item.prompt for item in items(path)]
    assert prompts == ["in quotes #1 5", "b # c", "c # d", "a # f", "a # f", "b # f", "b # f", "text#with a sign"]


def test_the_cure_can_be_followed(write: Write) -> None:
    (problem,) = problems(write("prompts:\n  - a 'b' #1 \"c\"\n"))
    cure = problem.cure.partition("in quotes: ")[2].partition("; if not")[0]
    assert [item.prompt for item in jobfile.expand(jobfile.load(write(f"prompts:\n  - {cure}\n")))] == [
        "a 'b' #1 \"c\""
    ]
