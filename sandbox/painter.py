"""Paint a placeholder: a landscape made from the prompt and the seed, with the prompt written into it.

The same picture gives the same bytes. It is painted in tones, at one byte a pixel, and coloured by its palette at the
end: fast, small, and in harmony. Pillow is imported when the first picture is painted.
"""

import hashlib
import random
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from sandbox.lettering import write
from sandbox.palette import PALETTES, tone_colours
from sandbox.scenery import draw_scenery

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class Painting:
    """What is to be painted: everything its bytes depend on.

    Attributes:
        prompt: Written into the picture, and shapes it.
        seed: Shapes it.
        width: Pixels.
        height: Pixels.
        mime_type: `image/png`, `image/jpeg` or `image/webp`.
        model: The model's id; its last part is written small.
        ratio: The ratio asked for, written small; may be empty.
        label: Written small: the first letters of the key of the item that it is for; may be empty.
    """

    prompt: str
    seed: int
    width: int
    height: int
    mime_type: str
    model: str
    ratio: str = ""
    label: str = ""


def paint(picture: Painting) -> bytes:
    """The whole image file."""
    from PIL import Image

    chance = random.Random(hashlib.sha256(f"{picture.seed}\n{picture.prompt}".encode(errors="replace")).digest())
    canvas = Image.new("L", (picture.width, picture.height))
    palette = chance.choice(PALETTES)
    draw_scenery(canvas, chance)
    write(canvas, picture.prompt, _caption(picture))
    canvas.putpalette(tone_colours(palette))
    return _encode(canvas, picture.mime_type)


def _caption(picture: Painting) -> str:
    name = picture.model.rpartition("/")[2]
    size = f"{picture.width}x{picture.height}"
    parts = ["sandbox", picture.label and f"key {picture.label}", name, picture.ratio, size, f"seed {picture.seed}"]
    return "  \u00b7  ".join(part for part in parts if part)


def _encode(canvas: "Image.Image", mime_type: str) -> bytes:
    file = BytesIO()
    if mime_type == "image/png":
        canvas.save(file, "PNG", compress_level=1)
    elif mime_type == "image/webp":
        canvas.convert("RGB").save(file, "WEBP", quality=75, method=0)
    else:
        canvas.convert("RGB").save(file, "JPEG", quality=85)
    return file.getvalue()
