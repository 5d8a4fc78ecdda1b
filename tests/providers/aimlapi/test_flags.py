"""What an answer says against its own pictures."""

from typing import Any

import pytest

from pipeline.providers.aimlapi.flags import flag_of, flags_of_all


@pytest.mark.parametrize("value", [True, 1, 1.0, "true", "blocked", [True]])
def test_a_flag_that_is_set_counts(value: Any) -> None:
    assert flag_of({"nsfw": value}) == "nsfw"


@pytest.mark.parametrize("value", [False, 0, 0.0004, 0.93, 2, "false", "False", None, [], [False]])
def test_a_likelihood_or_a_denial_is_no_verdict(value: Any) -> None:
    assert flag_of({"nsfw": value}) is None


@pytest.mark.parametrize(
    "root",
    [
        {"has_nsfw_concepts": [False, True]},
        {"meta": {"has_nsfw_concepts": [False, True]}},
        {"has_nsfw_concepts": {"1": True}},
        {"has_nsfw_concepts": {"0": False, "1": True, "7": True}},
        {"meta": {"has_nsfw_concepts": {"1": 1}}},
    ],
)
def test_the_flags_beside_the_pictures_go_to_the_pictures_that_they_are_of(root: Any) -> None:
    assert flags_of_all(root, 2) == (None, "has_nsfw_concepts")
