"""What is suggested for a pattern of --only that matches nothing."""

from fnmatch import fnmatchcase

import pytest

from pipeline.report.matching import matches, suggestion

SHOP = [f"SKU-{number:03}-{ratio}" for number in range(1, 61) for ratio in ("1x1", "16x9", "4x3")]


def items(*ids: str, count: int = 1) -> dict[str, int]:
    return dict.fromkeys(ids, count)


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        ("SKU-001", "did you mean 'SKU-001-*' (3 items)?"),
        ("sku-001", "did you mean 'SKU-001-*' (3 items)?"),
        ("SKU-00", "did you mean 'SKU-00*' (27 items)?"),
        ("sku-003*", "did you mean 'SKU-003*' (3 items)?"),
        ("sku-00[1-3]*", "did you mean 'SKU-00[1-3]*' (9 items)?"),
        ("*-16X9", "did you mean '*-16x9' (60 items)?"),
        ("SKU-003-16X9", "did you mean SKU-003-16x9?"),
        ("SKX-003*", "did you mean 'SKU-003*' (3 items)?"),
        ("16x9", "did you mean '*16x9*' (60 items)?"),
        ("SKU-003-16x9.png", "that is the name of a file; --only takes ids: did you mean SKU-003-16x9?"),
        ("SKU-0033-1x1", "did you mean SKU-033-1x1?"),
        ("zzz", ""),
        ("", ""),
        ("[", ""),
    ],
)
def test_a_pattern_that_matches_nothing_gets_the_likeliest_that_does(pattern: str, near: str) -> None:
    assert suggestion(pattern, items(*SHOP)) == near


def test_the_name_of_a_second_image_leads_to_its_item() -> None:
    hint = suggestion("a-2", items("a", "b", count=3))
    assert hint == "that is the name of a file; --only takes ids: did you mean a?"
    assert suggestion("a-9", items("a", "b", count=3)) != hint


@pytest.mark.parametrize("pattern", ["a-2", "A", "hero", "HERO*", "her", "e", "heor-1", "hero-", "*", "**x", "h?ro!"])
@pytest.mark.parametrize("ids", [["hero-1", "hero-2"], ["a", "b"], ["hero"], ["Hero", "heRo2"]])
def test_no_suggestion_selects_everything_unless_that_is_one_item(pattern: str, ids: list[str]) -> None:
    if any(fnmatchcase(name, pattern) for name in ids):
        return
    _, _, near = suggestion(pattern, items(*ids)).partition("did you mean ")
    near = near.removesuffix("?").partition(" (")[0].strip("'")
    assert not near or near in ids or 0 < len(matches(ids, near)) < len(ids)
