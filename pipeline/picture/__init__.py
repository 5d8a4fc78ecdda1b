"""Is this a whole PNG, JPEG or WebP? Answered while the bytes stream past, without a decoder.

A decoder in the way of a download would be slow and an attack surface; what a cut or damaged transfer does to a picture
shows in its container. The formats are walked in straight-line generators (`png`, `jpeg`, `webp`) over a `Source` that
pauses them when bytes run out, so that how the network cuts the stream makes no difference.
"""

from pipeline.picture.check import PictureCheck
from pipeline.picture.source import MAX_PIXELS, BrokenPicture, Picture

__all__ = ["MAX_PIXELS", "BrokenPicture", "Picture", "PictureCheck"]
