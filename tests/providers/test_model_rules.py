"""Suggestions: the word that was meant, or none."""

import pytest

from pipeline.providers.model_rules import nearest

CHOICES = ["prompt", "enhance_prompt", "safety_setting", "add_watermark", "num_images", "aspect_ratios"]


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("enhance_promt", "enhance_prompt"),
        ("Enhance_Prompt", "enhance_prompt"),
        ("enhence-prompt", "enhance_prompt"),
        ("safty_settings", "safety_setting"),
        ("addwatermark", "add_watermark"),
        ("negative_prompt", None),
        ("image_prompt", None),
        ("system_setting", None),
        ("zzz", None),
    ],
)
def test_what_two_names_share_does_not_make_them_near(word: str, near: str | None) -> None:
    assert nearest(word, CHOICES) == near
