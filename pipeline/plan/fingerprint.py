"""The fingerprint of what was read: of exactly these bytes a run is, and of no later ones it may be called done."""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from pipeline.settings import BASE_VARIABLE
from pipeline.version import __version__


def digest_of(path: Path) -> str | None:
    """The sha256 of a file's bytes, in hex; None where it is not a regular file that can be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        # Not to wait for the other end of a pipe that has taken its place meanwhile.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def fingerprint(digests: Mapping[Path, str | None], given: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """The fingerprint of everything that decides what a job wants, and from whom.

    Args:
        digests: The digest of the job file, then of each file that it includes, in the job's order.
        given: What the command line gave instead of the job's own.
        environ: Where the base URL is looked up.
    """
    around = [__version__, sorted(given.items()), environ.get(BASE_VARIABLE, "").strip()]
    # The job file itself goes by its bytes alone: however its path is written, it is the same job.
    read = [("" if number == 0 else str(path), digest) for number, (path, digest) in enumerate(digests.items())]
    return hashlib.sha256(json.dumps([around, read]).encode()).hexdigest()
