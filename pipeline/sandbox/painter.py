"""Paint a placeholder: a landscape made from the prompt and the seed, with the prompt written into it.

The same spec gives the same bytes. Everything is painted in tones at one byte a pixel (see `palette`); edges are
smooth because shapes are drawn at twice the size first. Pillow is imported when the first picture is painted.
"""

import hashlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

from pipeline.sandbox.lettering import write_caption, write_prompt
from pipeline.sandbox.palette import PALETTES, tone_colours

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class Picture:
    """What is to be painted: everything its bytes depend on.

    Attributes:
        prompt: Written into the picture, and shapes it.
        seed: Shapes it.
        width: Pixels.
        height: Pixels.
        mime_type: `image/png`, `image/jpeg` or `image/webp`.
        model: The model's id; its last part is written small.
    """

    prompt: str
    seed: int
    width: int
    height: int
    mime_type: str
    model: str


def paint(picture: Picture) -> bytes:
    """The whole image file."""
    from PIL import Image, ImageDraw

    chance = random.Random(hashlib.sha256(f"{picture.seed}\n{picture.prompt}".encode(errors="replace")).digest())
    stops = chance.choice(PALETTES)
    canvas = Image.new("L", (picture.width, picture.height))
    _sky(canvas, chance)
    _scenery(canvas, chance)
    write_prompt(ImageDraw.Draw(canvas), picture.prompt, canvas.size)
    write_caption(ImageDraw.Draw(canvas), _caption(picture), canvas.size)
    canvas.putpalette(_colours(stops))
    return _encode(canvas, picture.mime_type)


@cache
def _colours(stops: tuple[tuple[int, int, int], ...]) -> bytes:
    return tone_colours(stops)


def _caption(picture: Picture) -> str:
    divisor = math.gcd(picture.width, picture.height)
    name = picture.model.rpartition("/")[2]
    size = f"{picture.width} × {picture.height}"
    ratio = f"{picture.width // divisor}:{picture.height // divisor}"
    shape = f"{size} ({ratio})" if len(ratio) <= 5 else size
    return f"sandbox  ·  {name}  ·  {shape}  ·  seed {picture.seed}"


def _sky(canvas: "Image.Image", chance: random.Random) -> None:
    """A gradient from the upper edge to the horizon, darker above."""
    from PIL import Image

    top, bottom = chance.randint(96, 150), chance.randint(206, 236)
    column = bytes(round(top + (bottom - top) * (row / 255) ** 1.3) for row in range(256))
    canvas.paste(Image.frombytes("L", (1, 256), column).resize(canvas.size, Image.Resampling.BILINEAR))


def _scenery(canvas: "Image.Image", chance: random.Random) -> None:
    """The sun, and hills in front of it, each range nearer and darker than the one behind."""
    width, height = canvas.size
    _sun(canvas, chance)
    ranges = chance.randint(3, 5)
    for number in range(ranges):
        depth = (number + 1) / ranges
        level = height * (0.42 + 0.42 * depth)
        tone = round(190 - 165 * depth)
        _hills(canvas, tone, _ridge(chance, width, height, level, 0.16 - 0.09 * depth))


def _sun(canvas: "Image.Image", chance: random.Random) -> None:
    width, height = canvas.size
    radius = min(width, height) * chance.uniform(0.09, 0.17)
    x, y = width * chance.uniform(0.2, 0.8), height * chance.uniform(0.2, 0.45)
    for halo, strength in ((2.4, 26), (1.7, 44), (1.0, 255)):
        _stamp(canvas, 255, (x - radius * halo, y - radius * halo, x + radius * halo, y + radius * halo), strength)


def _stamp(canvas: "Image.Image", tone: int, box: tuple[float, float, float, float], strength: int) -> None:
    """A disc with smooth edges, `strength` of 255 opaque."""
    from PIL import Image, ImageDraw

    side = max(2, round(box[2] - box[0]))
    mask = Image.new("L", (2 * side, 2 * side))
    ImageDraw.Draw(mask).ellipse((0, 0, 2 * side - 1, 2 * side - 1), fill=strength)
    canvas.paste(tone, (round(box[0]), round(box[1])), mask.reduce(2))


def _ridge(chance: random.Random, width: int, height: int, level: float, rise: float) -> Callable[[float], float]:
    """The upper edge of a range of hills: three waves of falling height and growing number."""
    waves = [
        (chance.uniform(0.6, 1.4) * 2**octave, chance.uniform(0, math.tau), height * rise / 1.9**octave)
        for octave in range(3)
    ]
    return lambda x: (
        level - sum(size * (1 + math.sin(x / width * math.tau * turns + phase)) / 2 for turns, phase, size in waves)
    )


def _hills(canvas: "Image.Image", tone: int, ridge: Callable[[float], float]) -> None:
    from PIL import Image, ImageDraw

    width, height = canvas.size
    points = [(x, ridge(x)) for x in range(0, width + 16, 16)]
    top = max(0, int(min(y for _, y in points)) - 1)
    foot = min(height, int(max(y for _, y in points)) + 2)
    if foot > top:
        mask = Image.new("L", (2 * width, 2 * (foot - top)))
        outline = [(2 * x, 2 * (y - top)) for x, y in points]
        ImageDraw.Draw(mask).polygon([*outline, (2 * width + 32, 2 * (foot - top)), (0, 2 * (foot - top))], fill=255)
        canvas.paste(tone, (0, top), mask.reduce(2))
    canvas.paste(tone, (0, foot, width, height))


def _encode(canvas: "Image.Image", mime_type: str) -> bytes:
    file = BytesIO()
    if mime_type == "image/png":
        canvas.save(file, "PNG", compress_level=1)
    elif mime_type == "image/webp":
        canvas.convert("RGB").save(file, "WEBP", quality=75, method=0)
    else:
        canvas.convert("RGB").save(file, "JPEG", quality=85)
    return file.getvalue()
