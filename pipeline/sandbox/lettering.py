"""Write text into a sandbox picture: wrapped, as large as fits, and legible on any palette."""

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageDraw
    from PIL.ImageFont import FreeTypeFont

LIGHT, DARK = 255, 8
LINE = 1.28
"""Distance from line to line, in font sizes."""

_SIZES = (88, 76, 66, 58, 50, 44, 38, 34, 30, 26, 23, 20, 18, 16, 14, 12, 10)


@cache
def font(size: int) -> "FreeTypeFont":
    """Pillow's own font, so that pictures are the same on every machine."""
    from PIL import ImageFont

    loaded = ImageFont.load_default(size)
    assert isinstance(loaded, ImageFont.FreeTypeFont)
    return loaded.font_variant(layout_engine=ImageFont.Layout.BASIC)


def plain(text: str) -> str:
    """The text as one line of printable characters."""
    text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def wrap(text: str, size: int, width: float) -> list[str]:
    """Lines no wider than `width`; a word that is too wide by itself is cut."""
    measure = font(size).getlength
    lines: list[str] = []
    line = ""
    for word in plain(text).split():
        longer = f"{line} {word}" if line else word
        if measure(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while measure(line) > width and len(line) > 1:
            fits = max(1, min(len(line) - 1, int(len(line) * width / measure(line))))
            lines.append(line[:fits])
            line = line[fits:]
    return [*lines, line] if line else lines


def fit(text: str, width: float, height: float) -> tuple[int, list[str]]:
    """The largest size at which the text fits, and its lines; at the smallest one, the lines that fit."""
    for size in _SIZES:
        lines = wrap(text, size, width)
        if len(lines) * size * LINE <= height:
            return size, lines
    return size, lines[: max(1, int(height / (size * LINE)))]


def write_prompt(draw: "ImageDraw.ImageDraw", prompt: str, canvas: tuple[int, int]) -> None:
    """The prompt, light on the dark foreground, its last line above the caption."""
    width, height = canvas
    margin = min(width, height) * 0.055
    size, lines = fit(prompt, width - 2 * margin, height * 0.4)
    y = height - margin * 1.9 - len(lines) * size * LINE
    for line in lines:
        draw.text((margin, y), line, fill=LIGHT, font=font(size), stroke_width=max(1, size // 24), stroke_fill=DARK)
        y += size * LINE


def write_caption(draw: "ImageDraw.ImageDraw", caption: str, canvas: tuple[int, int]) -> None:
    """One small line at the foot of the picture."""
    width, height = canvas
    margin = min(width, height) * 0.055
    size = max(10, round(min(width, height) * 0.018))
    while size > 6 and font(size).getlength(plain(caption)) > width - 2 * margin:
        size -= 1
    draw.text((margin, height - margin * 1.3), plain(caption), fill=180, font=font(size))
