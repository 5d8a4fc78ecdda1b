"""Is this a whole PNG, JPEG or WebP? Answered while the bytes stream past, without a decoder.

A decoder in the way of a download would be slow and an attack surface; what a cut or damaged transfer does to a picture
shows in its container. The formats are walked in straight-line generators (`png`, `jpeg`, `webp`) over a `Source` that
pauses them when bytes run out, so that how the network cuts the stream makes no difference.

The check refuses what no decoder shows, and what looks as a damaged transfer does. `decoding` goes further, in a
process of its own, where somebody asks for it.
"""

from pipeline.picture.check import HEAD, PictureCheck, format_of
from pipeline.picture.foreign import LOOK, Foreign, recognise
from pipeline.picture.source import MAX_PIXELS, BrokenPicture, Picture

__all__ = [
    "HEAD",
    "LOOK",
    "MAX_PIXELS",
    "BrokenPicture",
    "Foreign",
    "Picture",
    "PictureCheck",
    "format_of",
    "recognise",
]
