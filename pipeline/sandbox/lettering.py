"""Write text into a sandbox picture: wrapped, as large as fits, and legible on any palette."""

import math
import unicodedata
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFont import FreeTypeFont

LIGHT, SHADE = 255, 6
LINE = 1.26
"""Distance from line to line, in font sizes."""

MARGIN = 0.055
"""Free space at the edges, of the shorter side."""

_PLAINER = str.maketrans({"\u2013": "-", "\u2014": "-", "\u2026": "...", "\u00d7": "x"})

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
    """The text as one line of what the font can draw; a run of what it can't becomes three dots."""
    drawn = ""
    for char in unicodedata.normalize("NFC", text).translate(_PLAINER):
        replaced = _drawable(char)
        drawn += replaced if replaced or drawn.endswith("...") else "..."
    return " ".join(drawn.split())


@lru_cache(4096)
def _drawable(char: str) -> str:
    """The character, else it without its accents, else nothing."""
    kind = unicodedata.category(char)
    if char.isspace() or kind in ("Cc", "Cf"):
        return " "
    for candidate in (char, unicodedata.normalize("NFKD", char)[0]):
        if candidate.isascii() or (kind != "Cs" and _glyph(candidate) != _glyph("\uffff")):
            return candidate
    return ""


def _glyph(char: str) -> bytes:
    """How a character looks; one that the font lacks looks like all others that it lacks."""
    return bytes(font(_MEASURED).getmask(char))


@lru_cache(4096)
def _width(word: str) -> float:
    """How wide a word is, in font sizes."""
    return font(_MEASURED).getlength(word) / _MEASURED


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
        draw.text((margin, top + number * size * LINE), line, fill=LIGHT, font=font(size))
    for number, line in enumerate(captions):
        draw.text((margin, foot + number * small * LINE), line, fill=205, font=font(small))


def _veil(canvas: "Image.Image", top: float) -> None:
    """Darken the picture from `top` down, softly at first, so that light text stands out."""
    from PIL import Image

    width, height = canvas.size
    start = max(0, int(top))
    fall = max(1, (height - start) // 3)
    column = bytes(min(170, 170 * row // fall) for row in range(height - start))
    mask = Image.frombytes("L", (1, height - start), column).resize((width, height - start), Image.Resampling.NEAREST)
    canvas.paste(SHADE, (0, start), mask)
