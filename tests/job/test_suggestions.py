"""Words of other tools: what is meant is told, and never something else."""

import pytest

from tests.job.conftest import Write, problems


def cure(write: Write, text: str) -> str:
    (problem,) = problems(write(text))
    return problem.cure


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("ratio", "did you mean aspect_ratios?"),
        ("Aspect Ratio", "did you mean aspect_ratios?"),
        ("aspectRatio", "did you mean aspect_ratios?"),
        ("size", "did you mean aspect_ratios?"),
        ("n", "did you mean count?"),
        ("num_images", "did you mean count?"),
        ("Seed", "did you mean seeds?"),
        ("negative", "say in the prompt what is there"),
        ("negative_prompt", "negative_prompt below parameters:"),
    ],
)
def test_a_key_of_another_tool_is_understood(write: Write, key: str, told: str) -> None:
    assert told in cure(write, f"prompts: [{{prompt: a, {key}: x}}]")


@pytest.mark.parametrize(
    ("key", "told"),
    [("ratio", "aspect_ratios?"), ("n", "count? It belongs to a prompt entry"), ("negative", "negative_prompt below")],
)
def test_a_key_of_another_tool_is_understood_at_the_top(write: Write, key: str, told: str) -> None:
    assert told in cure(write, f"{key}: x\nprompts: [a]")


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("negative_prompt", "say in the prompt what the picture shows"),
        ("size", "write aspect_ratios: in the prompt entry instead of size"),
        ("image_size", "write aspect_ratios:"),
        ("num_images", "write count: in the prompt entry instead of num_images"),
        ("n", "write count:"),
        ("ratio", "write aspect_ratios:"),
        ("seeds", "write seeds:"),
        ("enhance_promt", "did you mean enhance_prompt?"),
        ("add_watermrk", "did you mean add_watermark?"),
    ],
)
def test_a_parameter_that_the_model_lacks_is_told_with_what_is_meant(write: Write, key: str, told: str) -> None:
    assert told in cure(write, f"parameters: {{{key}: 1}}\nprompts: [a]")


def test_the_parameters_that_are_listed_can_be_written(write: Write) -> None:
    listed = cure(write, "parameters: {qqqq: 1}\nprompts: [a]")
    assert "enhance_prompt" in listed
    assert not {"prompt", "num_images", "seed", "aspect_ratio"} & set(listed.removeprefix("it has ").split(", "))
