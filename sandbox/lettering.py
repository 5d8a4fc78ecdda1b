"""Write text into a sandbox picture: wrapped, as large as fits, and legible on any palette."""

import math
import unicodedata
from functools import cache, lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image, ImageDraw
    from PIL.ImageFont import FreeTypeFont

LIGHT, SHADE = 255, 6
LINE = 1.26
"""Distance from line to line, in font sizes."""

MARGIN = 0.055
"""Free space at the edges, of the shorter side."""

_PLAINER = str.maketrans({"\u2013": "-", "\u2014": "-", "\u2026": "...", "\u00d7": "x"})

_JOINERS = "\u200c\u200d\ufe0e\ufe0f"
"""Characters that only join others into one sign, or choose between two of its forms."""

_DIGIT = 0.4
"""Size of the digits in a box, in font sizes."""

_MEASURED = 64
"""Words are measured once, at this size; widths grow with the size."""


@cache
def font(size: int) -> "FreeTypeFont":
    """Pillow's own font, so that pictures are the same on every machine."""
    from PIL import ImageFont

    loaded = ImageFont.load_default(size)
    assert isinstance(loaded, ImageFont.FreeTypeFont)
    return loaded.font_variant(layout_engine=ImageFont.Layout.BASIC)


def plain(text: str) -> str:
    """The text as one line; what the font can't draw stays in it, to be drawn as boxes."""
    drawn = "".join(map(_drawn, unicodedata.normalize("NFC", text).translate(_PLAINER)))
    return " ".join(drawn.split())


@lru_cache(4096)
def _drawn(char: str) -> str:
    """The character as it is drawn: itself, itself without its accents, a space, or nothing for one without a shape."""
    if char in _JOINERS:
        return ""
    if char.isspace() or unicodedata.category(char) in ("Cc", "Cf"):
        return " "
    plainer = unicodedata.normalize("NFKD", char)[0]
    return next((candidate for candidate in (char, plainer) if not is_boxed(candidate)), char)


@lru_cache(4096)
def is_boxed(char: str) -> bool:
    """Whether the font lacks a character: it is drawn as a box that holds its code point."""
    return not char.isascii() and (unicodedata.category(char) == "Cs" or _glyph(char) == _glyph("\uffff"))


def _glyph(char: str) -> bytes:
    """How a character looks; one that the font lacks looks like all others that it lacks."""
    return bytes(font(_MEASURED).getmask(char))


@lru_cache(4096)
def _width(word: str) -> float:
    """How wide a word is, in font sizes."""
    return sum(
        sum(map(_box_width, run)) if boxed else font(_MEASURED).getlength("".join(run)) / _MEASURED
        for boxed, run in groupby(word, is_boxed)
    )


def _box_width(char: str) -> float:
    """How wide a box is with the space after it, in font sizes: two digits a row, or three where there are more."""
    return 0.68 if ord(char) <= 0xFFFF else 0.92


def wrap(text: str, width: float) -> list[str]:
    """Lines no wider than `width` font sizes; a word that is too wide by itself is cut."""
    lines: list[str] = []
    line, used, space = "", 0.0, _width(" ")
    for word in _pieces(text, width):
        if line and used + space + _width(word) > width:
            lines.append(line)
            line, used = "", 0.0
        used += _width(word) + (space if line else 0.0)
        line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines


def _pieces(text: str, width: float) -> list[str]:
    pieces = []
    for word in text.split():
        parts = math.ceil(_width(word) / width)
        length = math.ceil(len(word) / parts)
        pieces += [word[start : start + length] for start in range(0, len(word), length)] if parts > 1 else [word]
    return pieces


def fit(text: str, width: float, height: float, largest: int) -> tuple[int, list[str]]:
    """The largest size at which the text fits, and its lines; at the smallest one, the lines that fit."""
    size = largest
    lines = wrap(text, width / size)
    while len(lines) * size * LINE > height and size > 10:
        size = max(10, int(size * 0.92))
        lines = wrap(text, width / size)
    return size, lines[: max(1, int(height / (size * LINE)))]


def write(canvas: "Image.Image", prompt: str, caption: str) -> None:
    """The prompt at the foot of the picture, and under it the caption, small."""
    from PIL import ImageDraw

    width, height = canvas.size
    short = min(width, height)
    margin = short * MARGIN
    size, lines = fit(plain(prompt), width - 2 * margin, height * 0.42, max(10, round(short * 0.085)))
    small, captions = fit(plain(caption), width - 2 * margin, short * 0.08, max(10, round(short * 0.021)))
    foot = height - margin * 0.8 - len(captions) * small * LINE
    top = foot - margin * 0.35 - len(lines) * size * LINE
    _veil(canvas, top - size)
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        _draw_line(draw, margin, top + number * size * LINE, line, size, LIGHT)
    for number, line in enumerate(captions):
        _draw_line(draw, margin, foot + number * small * LINE, line, small, 205)


def _draw_line(draw: "ImageDraw.ImageDraw", x: float, y: float, line: str, size: int, fill: int) -> None:
    for boxed, run in groupby(line, is_boxed):
        text = "".join(run)
        if not boxed:
            draw.text((x, y), text, fill=fill, font=font(size))
            x += font(size).getlength(text)
            continue
        for char in text:
            _draw_box(draw, x, y, char, size, fill)
            x += _box_width(char) * size


def _draw_box(draw: "ImageDraw.ImageDraw", x: float, y: float, char: str, size: int, fill: int) -> None:
    """A frame with the hexadecimal digits of a character's code point, in two rows."""
    digits = f"{ord(char):04X}" if ord(char) <= 0xFFFF else f"{ord(char):06X}"
    half, small = len(digits) // 2, max(6, round(size * _DIGIT))
    wide, top, high = (_box_width(char) - 0.08) * size, y + 0.14 * size, 0.98 * size
    draw.rectangle((x, top, x + wide, top + high), outline=fill, width=max(1, size // 24))
    for row, text in enumerate((digits[:half], digits[half:])):
        left = x + (wide - font(small).getlength(text)) / 2
        draw.text((left, top + (0.02 + 0.46 * row) * size), text, fill=fill, font=font(small))


def _veil(canvas: "Image.Image", top: float) -> None:
    """Darken the picture from `top` down, softly at first, so that light text stands out."""
    from PIL import Image

    width, height = canvas.size
    start = max(0, int(top))
    fall = max(1, (height - start) // 3)
    column = bytes(min(170, 170 * row // fall) for row in range(height - start))
    mask = Image.frombytes("L", (1, height - start), column).resize((width, height - start), Image.Resampling.NEAREST)
    canvas.paste(SHADE, (0, start), mask)
