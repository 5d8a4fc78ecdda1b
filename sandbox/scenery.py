"""The landscapes of sandbox pictures: a sky, a sun or moon, and hills or the sea, in tones from 0 to 255."""

import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

Box = tuple[float, float, float, float]
Points = list[tuple[float, float]]

_LIGHT = 255


def draw_scenery(canvas: "Image.Image", chance: random.Random) -> None:
    """Paint the whole canvas."""
    night = chance.random() < 0.25
    _sky(canvas, chance, night=night)
    if night:
        _stars(canvas, chance)
    sun = _sun(canvas, chance)
    if chance.random() < 0.3:
        _sea(canvas, chance, sun)
    else:
        _hills(canvas, chance, farthest=118 if night else 176)


def _sky(canvas: "Image.Image", chance: random.Random, *, night: bool) -> None:
    """A gradient, lightest at the horizon."""
    from PIL import Image

    day, dark = ((120, 160), (212, 236)), ((34, 56), (130, 165))
    top, bottom = (chance.randint(*bounds) for bounds in (dark if night else day))
    column = bytes(min(255, round(top + (bottom - top) * (row / 180) ** 1.2)) for row in range(256))
    canvas.paste(Image.frombytes("L", (1, 256), column).resize(canvas.size, Image.Resampling.NEAREST))


def _stars(canvas: "Image.Image", chance: random.Random) -> None:
    width, height = canvas.size
    for _ in range(70):
        radius = min(width, height) * chance.uniform(0.0012, 0.0032)
        x, y = chance.uniform(0, width), height * chance.uniform(0, 0.5)
        _disc(canvas, chance.randint(190, 255), (x - radius, y - radius, x + radius, y + radius))


def _sun(canvas: "Image.Image", chance: random.Random) -> Box:
    """A sun or moon with two halos; where its disc is."""
    width, height = canvas.size
    radius = min(width, height) * chance.uniform(0.085, 0.15)
    x, y = width * chance.uniform(0.18, 0.82), height * chance.uniform(0.2, 0.34)
    for halo, strength in ((2.5, 24), (1.7, 44), (1.0, 255)):
        reach = radius * halo
        _disc(canvas, _LIGHT, (x - reach, y - reach, x + reach, y + reach), strength)
    return x - radius, y - radius, x + radius, y + radius


def _hills(canvas: "Image.Image", chance: random.Random, *, farthest: int) -> None:
    """Ranges of hills, each nearer, darker and lower than the one behind; pines on the nearest, now and then.

    `farthest` is the tone of the range behind all others.
    """
    width, height = canvas.size
    ranges = chance.randint(3, 5)
    wooded = chance.random() < 0.5
    for number in range(ranges):
        depth = number / (ranges - 1)
        level = height * (0.53 + 0.33 * depth)
        tone = round(farthest + (24 - farthest) * depth)
        ridge = _ridge(chance, width, level, height * (0.2 - 0.1 * depth))
        _ground(canvas, tone, [(x, ridge(x)) for x in _across(width)])
        if wooded and number >= ranges - 2:
            _pines(canvas, tone, ridge, chance, height * (0.05 + 0.06 * depth))


def _ridge(chance: random.Random, width: int, level: float, rise: float) -> Callable[[float], float]:
    """The upper edge of a range of hills: three waves, each smaller and narrower than the one before."""
    waves = [
        (chance.uniform(0.6, 1.3) * 2.1**octave, chance.uniform(0, math.tau), rise / 2.1**octave) for octave in range(3)
    ]
    return lambda x: (
        level - sum(size * math.sin(x / width * math.tau * turns + phase) / 2 for turns, phase, size in waves)
    )


def _across(width: int) -> range:
    """Where a ridge is measured: close enough to look like a curve."""
    step = max(4, width // 90)
    return range(0, width + step, step)


def _pines(
    canvas: "Image.Image", tone: int, ridge: Callable[[float], float], chance: random.Random, size: float
) -> None:
    """Groups of conifers along a ridge."""
    width = canvas.size[0]
    for _ in range(chance.randint(2, 4)):
        centre, spread = chance.uniform(0, width), width * chance.uniform(0.04, 0.12)
        for _ in range(chance.randint(4, 9)):
            x = chance.gauss(centre, spread / 2)
            tall = size * chance.uniform(0.6, 1.2)
            _polygon(canvas, tone, _pine(x, ridge(x) + tall * 0.15, tall))


def _pine(x: float, foot: float, tall: float) -> Points:
    """The outline of a conifer: three tiers, wider towards the foot."""
    half = tall * 0.2
    right = [
        (0.0, 1.0),
        (0.45, 0.66),
        (0.22, 0.66),
        (0.72, 0.36),
        (0.34, 0.36),
        (1.0, 0.06),
        (0.12, 0.06),
        (0.12, -0.1),
    ]
    outline = right + [(-across, up) for across, up in reversed(right)]
    return [(x + across * half, foot - up * tall) for across, up in outline]


def _sea(canvas: "Image.Image", chance: random.Random, sun: Box) -> None:
    """A far shore, the water before it, and the light of the sun in broken lines upon it."""
    width, height = canvas.size
    horizon = height * chance.uniform(0.5, 0.56)
    ridge = _ridge(chance, width, horizon, height * 0.09)
    _ground(canvas, 150, [(x, min(horizon, ridge(x))) for x in _across(width)])
    for band in range(6):
        top = horizon + (height - horizon) * (band / 6) ** 1.4
        canvas.paste(112 - 17 * band, (0, round(top), width, height))
    centre, half = (sun[0] + sun[2]) / 2, (sun[2] - sun[0]) / 2
    lines = 11
    for line in range(lines):
        depth = (line + 0.6) / lines
        y = horizon + (height - horizon) * 0.75 * depth**1.3
        reach = half * chance.uniform(0.35, 1.0) * (1.1 - 0.5 * depth)
        shift, thick = half * chance.uniform(-0.2, 0.2), max(1.5, height * 0.0045 * (0.6 + depth))
        _bar(canvas, (centre + shift - reach, y, centre + shift + reach, y + thick), round(230 - 130 * depth))


def _ground(canvas: "Image.Image", tone: int, ridge: Points) -> None:
    """Everything below a line."""
    width, height = canvas.size
    foot = min(height, int(max(y for _, y in ridge)) + 1)
    _polygon(canvas, tone, [*ridge, (ridge[-1][0], foot), (0, foot)])
    canvas.paste(tone, (0, foot, width, height))


def _polygon(canvas: "Image.Image", tone: int, outline: Points) -> None:
    """A filled outline with smooth edges: drawn at twice the size and reduced."""
    from PIL import Image, ImageDraw

    left, top = math.floor(min(x for x, _ in outline)), math.floor(min(y for _, y in outline))
    right, foot = math.ceil(max(x for x, _ in outline)), math.ceil(max(y for _, y in outline))
    mask = Image.new("L", (2 * max(1, right - left), 2 * max(1, foot - top)))
    ImageDraw.Draw(mask).polygon([(2 * (x - left), 2 * (y - top)) for x, y in outline], fill=255)
    canvas.paste(tone, (left, top), mask.reduce(2))


def _disc(canvas: "Image.Image", tone: int, box: Box, strength: int = 255) -> None:
    """A disc with smooth edges, `strength` of 255 opaque."""
    from PIL import Image, ImageDraw

    side = max(2, round(box[2] - box[0]))
    mask = Image.new("L", (2 * side, 2 * side))
    ImageDraw.Draw(mask).ellipse((0, 0, 2 * side - 1, 2 * side - 1), fill=strength)
    canvas.paste(tone, (round(box[0]), round(box[1])), mask.reduce(2))


def _bar(canvas: "Image.Image", box: Box, strength: int) -> None:
    """A level line of light with round ends."""
    from PIL import Image, ImageDraw

    width, height = max(2, round(box[2] - box[0])), max(2, round(box[3] - box[1]))
    mask = Image.new("L", (2 * width, 2 * height))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 2 * width - 1, 2 * height - 1), radius=height, fill=strength)
    canvas.paste(_LIGHT, (round(box[0]), round(box[1])), mask.reduce(2))
