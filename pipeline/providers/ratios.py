"""How a model is told the shape of a picture, and how many pixels that gives.

Three ways are in use: an `aspect_ratio` like `16:9`; an `image_size` that is a name (`landscape_16_9`) or a width and a
height; a `size` like `1536x1024`. Jobs speak of ratios alone, so each ratio is mapped to the model's own words here.
"""

import re
from collections.abc import Mapping
from typing import Any

TOLERANCE = 0.05
"""How far a picture may be from the ratio asked for; models round to the sizes they were trained on."""

COMMON_RATIOS = (
    *("1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "5:4", "4:5"),
    *("2:1", "1:2", "21:9", "9:21", "3:1", "1:3"),
)
"""The ratios offered for a model that takes a size in pixels; one that no size of it comes close to is left out."""

NAMED_SIZES = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
"""What the names of `image_size` mean in pixels. The first of a shape is the one a ratio asks for."""

SHAPING = ("aspect_ratio", "image_size", "size")
"""The parameters that say the shape; a model has at most one of them."""

_DEFAULT_SIDE = 1024
_SIZE_BOUNDS = (512, 2048)
_GRID = 16


def proportion(ratio: str) -> float | None:
    """Width over height of a `W:H`, or None for a word like `auto`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", ratio)
    if not match or not float(match[1]) or not float(match[2]):
        return None
    return float(match[1]) / float(match[2])


def fits(ratio: str, width: int, height: int) -> bool:
    """Whether a picture of this size is within the tolerance of the ratio; a word like `auto` fits every picture."""
    wanted = proportion(ratio)
    return wanted is None or _distance(wanted, width, height) <= TOLERANCE


def options(parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, Any]]:
    """The ratios a model can be asked for, each with the parameter and the value that ask for it."""
    if "aspect_ratio" in parameters:
        return {ratio: ("aspect_ratio", ratio) for ratio in parameters["aspect_ratio"].get("enum", ())}
    if "image_size" in parameters:
        found = {ratio: _image_size(parameters["image_size"], ratio) for ratio in COMMON_RATIOS}
        return {ratio: ("image_size", value) for ratio, value in found.items() if value is not None}
    if "size" in parameters:
        sizes = _pixel_sizes(parameters["size"])
        closest = {ratio: _closest(sizes, ratio) for ratio in COMMON_RATIOS}
        return {ratio: ("size", value) for ratio, value in closest.items() if value is not None}
    return {}


def pixels(parameters: Mapping[str, Mapping[str, Any]], body: Mapping[str, Any]) -> tuple[int, int]:
    """The size of the picture that a request asks for, where the vendor documents no other.

    A ratio is given the area of a square of `resolution` (`2K` is 2048 pixels a side), on a grid of 16 pixels.
    """
    name = next((name for name in SHAPING if name in parameters or name in body), "aspect_ratio")
    value = body.get(name, parameters.get(name, {}).get("default"))
    if isinstance(value, Mapping):
        return int(value["width"]), int(value["height"])
    text = str(value)
    if text in NAMED_SIZES:
        return NAMED_SIZES[text]
    if match := re.fullmatch(r"(\d+)x(\d+)", text):
        return int(match[1]), int(match[2])
    resolution = body.get("resolution", parameters.get("resolution", {}).get("default"))
    side = _side(text) or _side(str(resolution)) or _DEFAULT_SIDE
    ratio = proportion(text) or 1.0
    return _on_grid(side * ratio**0.5), _on_grid(side / ratio**0.5)


def _image_size(spec: Mapping[str, Any], ratio: str) -> Any:
    """The name, else the width and height, that comes closest to a ratio; None where nothing is close enough."""
    for alternative in spec["any_of"]:
        for name in alternative.get("enum", ()):
            if name in NAMED_SIZES and fits(ratio, *NAMED_SIZES[name]):
                return name
    pixels = next(alternative for alternative in spec["any_of"] if "object" in alternative)
    sides = pixels["object"]
    side = _side(str(spec.get("default"))) or _DEFAULT_SIDE
    area = sides["width"].get("default", side) * sides["height"].get("default", side)
    return _rectangle(sides, pixels.get("multiple_of", _GRID), ratio, area)


def _rectangle(sides: Mapping[str, Any], step: int, ratio: str, area: int) -> dict[str, int] | None:
    """The width and height in bounds that come closest to the ratio and, among those, to the area."""
    width, height = sides["width"], sides["height"]
    wanted = proportion(ratio) or 1.0
    lowest, highest = height.get("minimum", _SIZE_BOUNDS[0]), height.get("maximum", _SIZE_BOUNDS[1])
    candidates = []
    for across in range(-(-width.get("minimum", _SIZE_BOUNDS[0]) // step) * step, _top(width, step) + 1, step):
        down = round(across / wanted / step) * step
        distance = _distance(wanted, across, down) if down else 1.0
        if lowest <= down <= highest and distance <= TOLERANCE:
            # Sizes less than one per cent apart in ratio look the same: the area decides between them.
            candidates.append((round(distance, 2), abs(across * down - area), across, down))
    if not candidates:
        return None
    *_, across, down = min(candidates)
    return {"width": across, "height": down}


def _top(side: Mapping[str, Any], step: int) -> int:
    return int(side.get("maximum", _SIZE_BOUNDS[1])) // step * step


def _pixel_sizes(spec: Mapping[str, Any]) -> list[str]:
    """The `WxH` values of a `size`, its default first, then the larger ones."""
    sizes = [text for text in spec.get("enum", ()) if re.fullmatch(r"\d+x\d+", text)]
    return sorted(sizes, key=lambda text: (text != spec.get("default"), -int(text.split("x")[0])))


def _closest(sizes: list[str], ratio: str) -> str | None:
    near = [text for text in sizes if fits(ratio, *map(int, text.split("x")))]
    return near[0] if near else None


def _distance(wanted: float, width: int, height: int) -> float:
    return abs(width / height / wanted - 1)


def _side(text: str) -> int | None:
    """Pixels a side of a resolution like `1.5K` or `2k`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)[kK]", text)
    return round(float(match[1]) * _DEFAULT_SIDE) if match else None


def _on_grid(side: float) -> int:
    return max(_GRID, round(side / _GRID) * _GRID)
