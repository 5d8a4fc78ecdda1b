import io
import time
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from sandbox.lettering import fit, font, is_boxed, plain, wrap, write
from sandbox.painter import Painting, paint
from sandbox.palette import PALETTES, tone_colours

FOX = Painting("A fox in a forest", 7, 1024, 1024, "image/png", "google/imagen-4.0", "1:1")


def test_the_same_prompt_and_seed_give_the_same_bytes() -> None:
    assert paint(FOX) == paint(FOX)


@pytest.mark.parametrize("change", [{"prompt": "A hare"}, {"seed": 8}, {"ratio": "4:3"}, {"model": "other"}])
def test_whatever_is_asked_for_changes_the_picture(change: dict[str, Any]) -> None:
    assert paint(replace(FOX, **change)) != paint(FOX)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("size", [(1408, 768), (768, 1408), (64, 64), (1536, 256)])
def test_a_picture_has_the_type_and_size_asked_for(kind: str, size: tuple[int, int]) -> None:
    data = paint(replace(FOX, mime_type=f"image/{kind}", width=size[0], height=size[1]))
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert (image.format, image.size) == (kind.upper(), size)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "x" * 4000,
        "word " * 900,
        "日本語のプロンプト",
        "fox 🦊 \ud800 \x00\u202e",
        "a\nb\tc",
        "Crème brûlée — “été”",
    ],
)
def test_any_text_can_be_painted(prompt: str) -> None:
    assert len(paint(replace(FOX, prompt=prompt))) < 1_500_000


def test_every_seed_paints_a_picture() -> None:
    small = replace(FOX, width=256, height=160)
    assert len({paint(replace(small, seed=seed)) for seed in range(60)}) == 60


def test_a_picture_takes_a_few_hundredths_of_a_second() -> None:
    paint(FOX)
    began = time.process_time()
    for _ in range(10):
        paint(FOX)
    assert (time.process_time() - began) / 10 < 0.06  # a quarter of it on an idle machine


def test_the_prompt_is_written_into_the_picture() -> None:
    """The same landscape with other words differs only where the words are."""
    with Image.open(io.BytesIO(paint(FOX))) as image:
        light = image.convert("L").crop((0, 700, 1024, 1024)).histogram()[225:]
    assert sum(light) > 1000


def test_characters_are_drawn_plainer_before_they_become_boxes() -> None:
    assert plain("Ünïcödé — fox") == "Unicode - fox"
    assert plain("日本 fox 🦊") == "日本 fox 🦊"
    assert plain("half \ud800 a\x07b") == "half \ud800 a b"
    assert plain("👩\u200d🚀 ❤\ufe0f") == "👩🚀 ❤"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("日本", "中国"),
        ("кот", "пёс"),
        ("قطة", "كلب"),
        ("बिल्ली", "कुत्ता"),
        ("แมว", "หมา"),
        ("고양이", "강아지"),
        ("🦊", "🦉"),
    ],
)
def test_texts_that_the_font_lacks_can_be_told_apart(one: str, other: str) -> None:
    """With the same seed and the same beginning of chance, only what is written differs."""
    drawn = []
    for text in (one, other, one):
        canvas = Image.new("L", (400, 200))
        write(canvas, text, "")
        drawn.append(canvas.tobytes())
    assert drawn[0] == drawn[2] != drawn[1]


def test_every_character_that_the_font_lacks_is_one_box() -> None:
    assert [is_boxed(char) for char in "a日·🦊\ud800"] == [False, True, False, True, True]


def test_boxes_are_no_wider_than_asked_and_none_is_left_out() -> None:
    lines = wrap(plain("日本語のプロンプトはここに書かれています" * 3), 9.0)
    assert "".join(lines) == "日本語のプロンプトはここに書かれています" * 3
    assert all(len(line) * 0.68 <= 9.0 for line in lines)


def test_the_label_is_written_on_the_picture() -> None:
    assert paint(replace(FOX, label="0123abcd")) != paint(FOX)


def test_no_line_is_wider_than_asked() -> None:
    text = "a raccoon who eats ice-cream Superduperlongwordwithoutanyspaces and Donaudampfschifffahrt"
    for width in (4.0, 9.0, 30.0):
        lines = wrap(text, width)
        assert all(font(64).getlength(line) / 64 <= width * 1.1 for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_text_is_written_as_large_as_fits() -> None:
    size, lines = fit("A fox", 900, 400, 87)
    assert (size, lines) == (87, ["A fox"])
    size, lines = fit("word " * 200, 900, 400, 87)
    assert 10 <= size < 40
    assert len(lines) * size * 1.26 <= 400


def test_what_does_not_fit_at_the_smallest_size_is_left_out() -> None:
    size, lines = fit("word " * 2000, 300, 100, 87)
    assert size == 10
    assert len(lines) == 7


def test_every_palette_runs_from_shade_to_light() -> None:
    for stops in PALETTES:
        colours = tone_colours(stops)
        assert len(colours) == 768
        assert colours[:3] == bytes(stops[0])
        assert colours[-3:] == bytes(stops[-1])
