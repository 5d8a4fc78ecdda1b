from pathlib import Path

import pytest

from pipeline.errors import UsageError
from sandbox import Fault, parse_fault, read_script


def test_a_fault_is_read_with_its_probability() -> None:
    assert parse_fault("cdn-truncated=0.1") == Fault("cdn-truncated", probability=0.1)
    assert parse_fault(" hang ") == Fault("hang")


@pytest.mark.parametrize(("text", "says"), [("500=often", "found 'often'"), ("501", "'501'"), ("500=2", "between 0")])
def test_a_wrong_fault_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_fault(text)


def test_a_script_maps_prompts_to_kinds(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("fox: [500, cut, ok]\nhare: moderated\n")
    assert read_script(path) == (
        Fault(("500", "cut", "ok"), match="fox"),
        Fault(("moderated",), match="hare"),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- 500", "expected a mapping"),
        ("fox: [", "no YAML"),
        ("fox: [5000]", "'fox': unknown kind"),
        ("[" * 1000, "no YAML"),
    ],
)
def test_a_wrong_script_says_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=says) as caught:
        read_script(path)
    assert "faults.yaml" in str(caught.value)


def test_a_script_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.yaml"):
        read_script(tmp_path / "nowhere.yaml")
