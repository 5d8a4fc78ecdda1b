"""What a job expands to: which items, in which order, under which names and keys."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import job as jobfile
from pipeline.errors import UsageError
from pipeline.job import keys, naming
from pipeline.job.schema import FORMER_LIMITS
from pipeline.model import DEFAULT_MODEL, Limits
from pipeline.providers import catalogue
from tests.job.conftest import Write, items

ISSUE = """
name: catalog
endpoint: sandbox
output: build/catalog
aspect_ratios: [1:1, 16:9]
parameters: {enhance_prompt: false, safety_setting: block_medium_and_above}
variables: {season: autumn, animal: [raccoon, fox]}
prompts:
  - Racoon eating ice-cream
  - id: hero
    prompt: "A {animal} in a {season} forest"
    aspect_ratios: [16:9, 9:16]
    count: 4
    seeds: [7, 11]
  - file: products.csv
    prompt: "Studio photo of {name}, {colour}"
limits: {concurrency: 4, downloads: 3, requests_per_minute: 60, budget_tokens: 5000000}
"""


def test_the_job_is_what_its_file_says(write: Write) -> None:
    path = write(ISSUE, products__csv="name,colour\nmug,red\n")
    job = jobfile.load(path)
    assert (job.name, job.path, job.endpoint, job.output) == ("catalog", path, "sandbox", Path("build/catalog"))
    assert job.limits == Limits(concurrency=4, downloads=3, requests_per_minute=60.0, budget_tokens=5_000_000)


def test_items_come_in_the_order_of_the_job(write: Write) -> None:
    found = items(write(ISSUE, products__csv="name,colour\nmug,red\n"))
    assert [(item.prompt, item.aspect_ratio, item.seed, item.count) for item in found] == [
        ("Racoon eating ice-cream", "1:1", None, 1),
        ("Racoon eating ice-cream", "16:9", None, 1),
        *(
            (f"A {animal} in a autumn forest", ratio, seed, count)
            for animal in ("raccoon", "fox")
            for ratio in ("16:9", "9:16")
            for seed, count in ((7, 1), (11, 1), (None, 2))
        ),
        ("Studio photo of mug, red", "1:1", None, 1),
        ("Studio photo of mug, red", "16:9", None, 1),
    ]
    assert all(item.sandbox and item.model == DEFAULT_MODEL for item in found)
    assert found[0].parameters == {"enhance_prompt": False, "safety_setting": "block_medium_and_above"}


def test_an_entry_says_more_than_the_job(write: Write) -> None:
    (item,) = items(
        write("""
parameters: {enhance_prompt: false, add_watermark: true}
aspect_ratios: [1:1, 16:9]
variables: {x: job}
prompts:
  - prompt: "a {x}"
    model: google/imagen-4.0-fast-generate-001
    parameters: {enhance_prompt: null, safety_setting: block_only_high}
    aspect_ratios: 4:3
    count: 2
    variables: {x: entry}
  - {prompt: "b {x}", aspect_ratios: []}
""")
    )[:1]
    assert (item.prompt, item.model, item.count) == ("a entry", "google/imagen-4.0-fast-generate-001", 2)
    assert item.aspect_ratio == "4:3"
    assert item.parameters == {"add_watermark": True, "safety_setting": "block_only_high"}


def test_no_ratio_leaves_the_shape_to_the_model(write: Write) -> None:
    (item,) = items(write("aspect_ratios: [1:1, 16:9]\nprompts: [{prompt: a, aspect_ratios: []}]"))
    assert item.aspect_ratio is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("16:9", "16:9"),
        ("'16:9'", "16:9"),
        ("16x9", "16:9"),
        ("16X9", "16:9"),
        ("16/9", "16:9"),
        ("16×9", "16:9"),
        ("'16 : 9'", "16:9"),
        ("016:09", "16:9"),
        ("1920x1080", "16:9"),
        ("[4:3]", "4:3"),
        ("16.0:9", "16:9"),
    ],
)
def test_a_ratio_is_read_as_people_write_it(write: Write, written: str, read: str) -> None:
    (item,) = items(write(f"prompts: [{{prompt: a, aspect_ratios: {written}}}]"))
    assert item.aspect_ratio == read


def test_ratios_with_fractions_and_words_exist(write: Write) -> None:
    found = items(
        write("model: x-ai/grok-imagine-image\nprompts: [{prompt: a, aspect_ratios: [19.5:9, 9:19.5, 3:4, AUTO]}]")
    )
    assert [item.aspect_ratio for item in found] == ["19.5:9", "9:19.5", "3:4", "auto"]


def test_several_ratios_and_seeds_may_be_one_text(write: Write) -> None:
    found = items(write('prompts: [{prompt: a, aspect_ratios: "1:1, 16 : 9 4:3", seeds: "7 11"}]'))
    assert [(item.aspect_ratio, item.seed) for item in found] == [
        (ratio, seed) for ratio in ("1:1", "16:9", "4:3") for seed in (7, 11)
    ]


def test_a_size_of_the_users_own_takes_no_ratio_from_the_job(write: Write) -> None:
    (item,) = items(
        write("""
model: flux/dev
aspect_ratios: [1:1, 16:9]
prompts: [{prompt: a, parameters: {image_size: {width: 640, height: 512}}}]
""")
    )
    assert item.aspect_ratio is None
    assert item.parameters == {"image_size": {"width": 640, "height": 512}}


def test_a_model_of_another_server_is_accepted_unchecked(write: Write) -> None:
    path = write("endpoint: http://localhost:8080/v1/\nmodel: my/model\nprompts: [{prompt: a, aspect_ratios: 5:7}]")
    job = jobfile.load(path)
    assert job.endpoint == "http://localhost:8080"
    assert [(item.model, item.aspect_ratio) for item in jobfile.expand(job)] == [("my/model", "5:7")]


def test_only_the_variables_of_a_prompt_multiply_it(write: Write) -> None:
    found = items(write("variables: {a: [x, y], b: [1, 2, 3]}\nprompts: ['{a} {a}', '{ b } {{b}}']"))
    assert [item.prompt for item in found] == ["x x", "y y", "1 {b}", "2 {b}", "3 {b}"]


def test_a_value_that_looks_like_a_variable_is_a_value(write: Write) -> None:
    (item,) = items(write("variables: {a: '{b}'}\nprompts: ['{a}']"))
    assert item.prompt == "{b}"


# Names.


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ("{id: hero, prompt: a}", ["hero"]),
        ("{id: hero, prompt: a, aspect_ratios: [1:1, 16:9]}", ["hero-1x1", "hero-16x9"]),
        ("{id: hero, prompt: a, aspect_ratios: [16:9]}", ["hero"]),
        ("{id: hero, prompt: a, seeds: 7}", ["hero-s7"]),
        ("{id: hero, prompt: a, seeds: 7, count: 3}", ["hero-s7", "hero"]),
        ("{id: hero, prompt: 'a {v}', variables: {v: [Red fox, 日本]}}", ["hero-red-fox", "hero-d9a3a8e5"]),
        ("{id: hero, prompt: 'a {v}', variables: {v: one}}", ["hero"]),
        (
            "{id: h, prompt: 'a {v}', variables: {v: [x, y]}, aspect_ratios: [1:1, 16:9], seeds: 1}",
            ["h-x-1x1-s1", "h-x-16x9-s1", "h-y-1x1-s1", "h-y-16x9-s1"],
        ),
    ],
)
def test_an_id_is_made_longer_only_by_what_varies(write: Write, entry: str, names: list[str]) -> None:
    found = [item.id for item in items(write(f"prompts: [{entry}]"))]
    digest = hashlib.sha256("日本".encode()).hexdigest()[:8]
    assert found == [name.replace("d9a3a8e5", digest) for name in names]


def test_an_id_is_made_of_the_prompt_where_there_is_none(write: Write) -> None:
    first, second = items(write("aspect_ratios: [1:1, 16:9]\nprompts: [Racoon eating ice-cream]"))
    assert first.id == f"racoon-eating-ice-cream-1x1-{first.key[:12]}"
    assert second.id == f"racoon-eating-ice-cream-16x9-{second.key[:12]}"


def test_a_name_that_is_too_long_keeps_its_beginning_and_gets_the_key(write: Write) -> None:
    values = ", ".join(f"v{n}: [{'x' * 30}, {'y' * 30}]" for n in range(4))
    prompt = " ".join(f"{{v{n}}}" for n in range(4))
    found = items(write(f"prompts: [{{id: {'a' * 80}, prompt: '{prompt}', variables: {{{values}}}}}]"))
    assert len({item.id for item in found}) == 16
    assert all(len(item.stem(999).encode()) <= 120 for item in found)


@given(st.text(max_size=300))
def test_a_made_name_is_safe_on_every_system(prompt: str) -> None:
    key = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
    name = naming.automatic(prompt, "16:9", key)
    assert naming.id_problem(name) is None
    assert len(name) <= 80
    assert name == name.lower()


HOSTILE = [
    *("..", ".", "", "a/../b", "con.png", "COM¹", "aux .png", "CONIN$", "x.", "x ", "a:b", "-rf", "~"),
    *("\u202egpj.exe", "\0", "a\nb", "\ud800", "é" * 200),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_is_refused_as_an_id_and_harmless_as_a_prompt(text: str) -> None:
    assert naming.id_problem(text) is not None
    assert naming.id_problem(naming.automatic(text, None, "0" * 64)) is None


@pytest.mark.parametrize(("one", "other"), [("Café", "CAFE\u0301"), ("\u212a", "k"), ("ß", "SS")])
def test_prompts_that_look_alike_have_names_of_their_own(write: Write, one: str, other: str) -> None:
    found = items(write(f"prompts: ['{one}', '{other}']"))
    assert len({item.id.casefold() for item in found}) == 2


# Keys.


def test_a_key_is_the_hash_of_one_line_of_json() -> None:
    model = catalogue.find(DEFAULT_MODEL)
    assert model is not None
    line = (
        '{"aspect_ratio":"1:1","model":"google/imagen-4.0-ultra-generate-001","parameters":{"add_watermark":true},'
        '"prompt":"caf\\u00e9","sandbox":false,"seed":null,"v":1}'
    )
    found = keys.key_of(model, "café", None, None, {"add_watermark": True}, sandbox=False)
    assert found == hashlib.sha256(line.encode()).hexdigest()


@given(
    st.text(max_size=30),
    st.sampled_from([None, "1:1", "16:9", "auto"]),
    st.none() | st.integers(0, 2**53),
    st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text(max_size=5), max_size=3),
    st.booleans(),
)
def test_every_key_is_the_hash_of_its_line(
    prompt: str, ratio: str | None, seed: int | None, shaping: dict[str, Any], sandbox: bool
) -> None:
    model = catalogue.unknown('a/"model"')
    recipe = {"aspect_ratio": ratio, "model": model.id, "parameters": shaping, "prompt": prompt, "sandbox": sandbox}
    line = json.dumps(recipe | {"seed": seed, "v": 1}, sort_keys=True, separators=(",", ":"))
    found = keys.key_of(model, prompt, ratio, seed, shaping, sandbox=sandbox)
    assert found == hashlib.sha256(line.encode()).hexdigest()


def key(write: Write, text: str) -> str:
    (item,) = items(write(text))
    return item.key


@pytest.mark.parametrize(
    "same",
    [
        "prompts: [{prompt: a fox, id: other, count: 4}]",
        "prompts: [{prompt: a fox, aspect_ratios: 1:1}]",
        "parameters: {enhance_prompt: true, convert_base64_to_url: false}\nprompts: [a fox]",
        "output: elsewhere\nlimits: {concurrency: 1}\nendpoint: https://proxy.example/v1\nprompts: [' a fox ']",
        "variables: {x: fox}\nprompts: ['a {x}']",
    ],
)
def test_what_does_not_shape_the_picture_is_not_in_its_key(write: Write, same: str) -> None:
    assert key(write, same) == key(write, "prompts: [a fox]")


@pytest.mark.parametrize(
    "other",
    [
        "prompts: [A fox]",
        "prompts: [{prompt: a fox, seeds: 1}]",
        "prompts: [{prompt: a fox, aspect_ratios: 4:3}]",
        "prompts: [{prompt: a fox, parameters: {enhance_prompt: false}}]",
        "prompts: [{prompt: a fox, model: google/imagen-4.0-generate-001}]",
        "endpoint: sandbox\nprompts: [a fox]",
    ],
)
def test_what_shapes_the_picture_is_in_its_key(write: Write, other: str) -> None:
    assert key(write, other) != key(write, "prompts: [a fox]")


def test_reordering_a_job_changes_no_id_and_no_key(write: Write) -> None:
    lines = [f"  - prompt number {n} of {{x}}\n" for n in range(50)]
    head = "variables: {x: [one, two]}\nprompts:\n"
    before = {(item.id, item.key) for item in items(write(head + "".join(lines)))}
    random.Random(7).shuffle(lines)
    after = {(item.id, item.key) for item in items(write(head.replace("one, two", "two, one") + "".join(lines)))}
    assert before == after
    assert len(before) == 100


# Overrides.


def test_options_of_the_command_line_stand_in_place_of_the_job(write: Write) -> None:
    job = jobfile.load(
        write("endpoint: aimlapi\noutput: a\nlimits: {concurrency: 2, attempts: 3}\nprompts: [x]"),
        endpoint="sandbox",
        output=Path("b"),
        limits={"concurrency": 9, "requests_per_minute": 30, "budget_tokens": None},
    )
    assert (job.endpoint, job.output) == ("sandbox", Path("b"))
    assert job.limits == Limits(concurrency=9, attempts=3, requests_per_minute=30.0)
    assert [item.sandbox for item in jobfile.expand(job)] == [True]


def test_a_wrong_option_is_named_as_it_was_typed(write: Write) -> None:
    path = write("prompts: [x]\nlimits: {attempts: 0}\noutput: a")
    with pytest.raises(UsageError) as caught:
        jobfile.load(path, endpoint="sandbx", output=Path("/"), limits={"requests_per_minute": -1, "concurrency": 2})
    assert sorted(str(problem).split("\n")[0].rpartition("/job.yaml")[2] for problem in caught.value.problems) == [
        "--endpoint: the value is 'sandbx'",
        "--output: the value is '/': the root, the home or the job's own folder",
        "--requests-per-minute: the value is -1",
        ":2:20: limits.attempts is 0",
    ]


def test_an_option_can_not_mend_limits_that_are_no_mapping(write: Write) -> None:
    with pytest.raises(UsageError):
        jobfile.load(write("prompts: [x]\nlimits: 4"), limits={"concurrency": 2})


@pytest.mark.parametrize(
    ("file", "name"), [("a b.yaml", "a-b"), ("con.yaml", "con"), ("日.yaml", "job"), ("x.y.yml", "x.y")]
)
def test_a_job_without_a_name_is_named_after_its_file(tmp_path: Path, file: str, name: str) -> None:
    path = tmp_path / file
    path.write_text("prompts: [a]")
    job = jobfile.load(path)
    assert (job.name, job.output) == (name, Path("build") / name)


@pytest.mark.parametrize(
    "text", ["variables: {{a: [{}]}}\nprompts: ['{{a}}']\n", "prompts: [{{prompt: a, seeds: [{}]}}]\n"]
)
def test_thousands_of_values_are_not_held_against_each_other(write: Write, text: str) -> None:
    path = write(text.format(", ".join(map(str, range(20_000)))))
    assert len(jobfile.load(path).wanted) == 20_000


def test_the_schema_for_editors_names_every_key() -> None:
    schema = jobfile.schema()
    assert set(schema["properties"]) == {
        *("name", "model", "endpoint", "output", "state_dir", "proxy", "user_agent", "aspect_ratios"),
        *("parameters", "variables", "prompts", "limits", "check"),
    }
    text, mapping = schema["$defs"]["PromptSpec"]["anyOf"]
    assert text == {"type": "string"}
    assert {"id", "prompt", "file", "variables", "count", "seeds"} <= set(mapping["properties"])
    assert set(schema["$defs"]["LimitsSpec"]["properties"]) == {*Limits.__dataclass_fields__, *FORMER_LIMITS}


def test_the_schema_for_editors_says_what_each_key_means() -> None:
    schema = jobfile.schema()
    _, entry = schema["$defs"]["PromptSpec"]["anyOf"]
    for part in (schema, entry, schema["$defs"]["LimitsSpec"]):
        assert part["description"]
        for name, told in part["properties"].items():
            assert told.get("description", "").endswith("."), name
    limits = schema["$defs"]["LimitsSpec"]["properties"]
    assert limits["grace"]["description"] == (
        "Seconds that an interrupted run waits for the answers it has already asked for."
    )
    assert "660 s, and 1 s in the sandbox." in limits["billing_lag"]["description"]


@pytest.mark.parametrize(
    ("old", "new", "value", "read"),
    [
        ("budget_lost", "retry_paid_budget_usd", "2.5", 2.5),
        ("settle", "billing_lag", "11m", 660.0),
        ("on_maybe", "on_unknown_outcome", "hold", "hold"),
    ],
)
def test_a_limit_is_read_by_its_former_name_and_the_user_told_the_new_one(
    write: Write, old: str, new: str, value: str, read: object
) -> None:
    job = jobfile.load(write(f"limits: {{{old}: {value}}}\nprompts: [a]\n"))
    assert getattr(job.limits, new) == read
    assert job.notes == (f"limits.{old} is called {new} now: the old name is read for one version more",)


def test_a_limit_under_both_its_names_is_what_the_new_one_says(write: Write) -> None:
    job = jobfile.load(write("limits: {settle: 5, billing_lag: 7}\nprompts: [a]\n"))
    assert job.limits.billing_lag == 7
    assert job.notes == (
        "limits.settle is called billing_lag now: the old name is not read, since billing_lag is given too",
    )


def test_a_former_name_with_a_wrong_value_is_a_mistake_where_it_stands(write: Write) -> None:
    with pytest.raises(UsageError) as refused:
        jobfile.load(write("limits: {settle: -1}\nprompts: [a]\n"))
    (problem,) = refused.value.problems
    assert (problem.place.line, problem.place.column) == (1, 18)
    assert "limits.settle is -1" in problem.message
