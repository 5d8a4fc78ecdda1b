"""The folders that contestants write to.

A file that has been removed slows down who comes next. ext4 gives the number of a removed inode to no new file for a
minute, for five if the removal has not reached the disk (`recently_deleted` in the kernel's fs/ext4/ialloc.c), and
looks at each such number in turn whenever a file is created: after 2,000 pictures of one contestant, the next one
paid up to a millisecond for each of its own. So files are emptied after a lap, and removed after the last one; and
where `chattr` can ask for it, each folder gets inodes of another region of the disk, so that the next benchmark need
not wait for five minutes.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench import machine

_GROUND = machine.CACHE / "work"


@contextmanager
def empty_folder() -> Iterator[Path]:
    """A new folder on the disk, for one lap; nothing that others wrote waits for the disk any more."""
    if not _GROUND.exists():
        _GROUND.mkdir(parents=True)
        with suppress(OSError):
            subprocess.run(["chattr", "+T", str(_GROUND)], check=False, capture_output=True)
    folder = Path(tempfile.mkdtemp(dir=_GROUND))
    if hasattr(os, "sync"):
        os.sync()
    try:
        yield folder
    finally:
        _empty(folder)


def _empty(folder: Path) -> None:
    """Give the space of all files back, and keep the files."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size:
            os.truncate(path, 0)


def clear() -> None:
    """Remove all that is left, once nothing more is measured."""
    shutil.rmtree(_GROUND, ignore_errors=True)
