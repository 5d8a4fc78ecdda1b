"""Decode pictures with Pillow, one after the other, in a process of its own: a script, started by `decoding`.

It is told one path a line (JSON) on standard input, and answers with one line (JSON) on standard output: null where the
picture in that file can be decoded, else why not. Its first line says in the same way whether Pillow is there and knows
the formats. It imports nothing of this program, whose packages it can't see.

    worker.py FOLDER MAX_PIXELS MEMORY SECONDS

`FOLDER` is where Pillow is installed; memory in bytes and seconds of CPU for one picture are limits, where the platform
has them.
"""

import json
import os
import sys
import time
import warnings
from contextlib import suppress
from typing import Any

FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg", "WEBP": "image/webp"}


def main(folder: str, max_pixels: int, memory: int, seconds: int) -> None:
    """Answer until standard input ends."""
    sys.path.append(folder)
    missing = _load(max_pixels)
    _limit(memory)
    say(missing)
    if missing is not None:
        return
    for line in sys.stdin:
        _allow(seconds)
        path, mime_type, width, height = json.loads(line)
        say(trouble(path, mime_type, (width, height)))


def say(answer: str | None) -> None:
    """Write one answer."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _load(max_pixels: int) -> str | None:
    """Import Pillow; what is missing, or None."""
    try:
        from PIL import Image, features
    except ImportError:
        return "Pillow is not installed"
    Image.MAX_IMAGE_PIXELS = max_pixels
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    missing = [name for name in ("jpg", "zlib", "webp") if not features.check(name)]
    # What is to be decoded is read by three modules, and by no other that Pillow has.
    Image.preinit()
    with suppress(ImportError):
        import PIL.MpoImagePlugin
        import PIL.WebPImagePlugin  # noqa: F401
    return f"Pillow is installed without {', '.join(missing)}" if missing else None


def trouble(path: str, mime_type: str, size: tuple[int, int]) -> str | None:
    """Decode one picture; why that can't be done, or None."""
    from PIL import Image, UnidentifiedImageError

    no_follow = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | no_follow), "rb") as file:
            image: Any
            with Image.open(file, formats=("PNG", "JPEG", "WEBP")) as image:
                if image.size != size or FORMATS.get(image.format) != mime_type:
                    return f"a decoder finds a {image.format} of {image.width}x{image.height} in it"
                image.load()
    except UnidentifiedImageError:
        return "no decoder knows it"
    except MemoryError:
        return "decoding it takes too much memory"
    except Exception as error:  # whatever a decoder raises over a picture is said of the picture
        return f"it can't be decoded ({str(error)[:200] or 'the decoder gives up'})"
    return None


def _limit(memory: int) -> None:
    """Bound what a hostile picture can make this process take, and do."""
    with suppress(ImportError):
        import resource

        for name, value in (("RLIMIT_AS", memory), ("RLIMIT_FSIZE", 0), ("RLIMIT_CORE", 0)):
            with suppress(AttributeError, ValueError, OSError):
                kind = getattr(resource, name)
                resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))


def _allow(seconds: int) -> None:
    """Allow so many seconds of CPU from now on."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + seconds + 1, hard))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
