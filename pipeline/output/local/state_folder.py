"""The folder inside an output folder for what is not a picture: made for its owner alone, and looked through."""

import os
from contextlib import suppress
from pathlib import Path

from pipeline.errors import StorageFailed
from pipeline.output.local.disk import make_folder, translated
from pipeline.regular_files import other_at

REPLACED, QUARANTINE, SANDBOX = "replaced", "quarantine", "sandbox"
"""Folders inside the state folder."""

_STATE_FILES = ("lock", "state_dir", "ledger.db")
"""What the names of the files inside the state folder begin with."""


def make_private(folder: Path) -> None:
    """Make a folder that only its owner may enter, if it is not there, so that a power cut leaves it there.

    Raises:
        StorageFailed: It can't be made, or is a symbolic link: what is written must stay within the output folder.
    """
    with translated("create", folder):
        if folder.is_symlink():
            raise StorageFailed(
                f"{folder} is a symbolic link, and none is followed there; remove it (the ledger can be kept elsewhere "
                "with `state_dir:` in the job)"
            )
        make_folder(folder)


def require_plain(state: Path) -> None:
    """Make sure that a state folder holds files and folders only, each where one is expected.

    Raises:
        StorageFailed: It holds symbolic links, pipes, or a folder in the place of a file; all are named.
    """
    found = []
    for folder in (state, state / SANDBOX):
        with translated("read", folder), suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            found += [f"{entry.path} is {what}" for entry in entries if (what := _unexpected(entry))]
    if found:
        raise StorageFailed(f"{'; '.join(sorted(found))}: move it away, then run again (no link is followed there)")


def _unexpected(entry: "os.DirEntry[str]") -> str | None:
    """What an entry of a state folder is, in words, where it can't be one of this program's."""
    if entry.is_dir(follow_symlinks=False):
        return "a folder, not a file" if entry.name.startswith(_STATE_FILES) else None
    if entry.is_file(follow_symlinks=False):
        return "a file, not a folder" if entry.name in (REPLACED, QUARANTINE, SANDBOX) else None
    return other_at(entry.path)
