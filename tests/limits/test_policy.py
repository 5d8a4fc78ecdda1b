import ast
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from pipeline.limits.policy import STANDARD

TESTS = Path(__file__).parents[1]


def test_a_policy_is_never_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        STANDARD.fetches = 7  # type: ignore[misc]


def test_no_test_turns_a_time_or_a_count_of_the_program() -> None:
    """What a test needs otherwise it hands in, as a policy."""
    allowed = {"PORTS", "_GROUND", "_MOMENT"}
    turned = {
        (file.name, node.args[1].value)
        for file in TESTS.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "setattr"
        and len(node.args) > 1
        and isinstance(node.args[1], ast.Constant)
        and str(node.args[1].value).isupper()
    }
    assert not {(file, name) for file, name in turned if name not in allowed}
