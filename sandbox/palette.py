"""The colours of sandbox pictures: one tone, 0 (deepest shade) to 255 (brightest light), becomes one colour.

A picture is painted in tones alone and coloured by its palette at the end: whatever is drawn over whatever, the
colours agree, and a picture needs one byte a pixel.
"""

from functools import cache
from itertools import pairwise

Colour = tuple[int, int, int]

PALETTES: tuple[tuple[Colour, ...], ...] = (
    ((24, 18, 54), (74, 38, 96), (158, 62, 108), (230, 112, 96), (250, 178, 120), (255, 236, 200)),  # dusk
    ((10, 34, 54), (18, 72, 96), (42, 122, 140), (112, 178, 172), (196, 222, 200), (250, 246, 228)),  # lagoon
    ((20, 34, 32), (36, 70, 58), (78, 118, 82), (152, 166, 104), (222, 206, 150), (252, 244, 220)),  # meadow
    ((26, 22, 40), (58, 52, 96), (98, 94, 158), (158, 150, 204), (216, 196, 222), (252, 240, 240)),  # lavender
    ((44, 20, 28), (102, 36, 40), (170, 70, 48), (222, 122, 60), (244, 190, 104), (255, 240, 206)),  # autumn
    ((12, 26, 58), (28, 60, 112), (62, 108, 168), (124, 164, 206), (196, 214, 230), (248, 246, 240)),  # winter
    ((32, 24, 44), (70, 44, 84), (104, 86, 130), (124, 146, 168), (170, 206, 190), (244, 246, 218)),  # orchid
    ((30, 28, 26), (72, 60, 54), (128, 102, 84), (186, 150, 116), (228, 202, 166), (252, 244, 230)),  # clay
)
"""Stops from shade to light, at equal distances."""


@cache
def tone_colours(stops: tuple[Colour, ...]) -> bytes:
    """The 256 colours, as RGB bytes, that run through the stops."""
    steps = len(stops) - 1
    colours = bytearray()
    for tone in range(256):
        place = tone / 255 * steps
        lower = min(int(place), steps - 1)
        share = place - lower
        first, second = list(pairwise(stops))[lower]
        colours += bytes(round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return bytes(colours)
