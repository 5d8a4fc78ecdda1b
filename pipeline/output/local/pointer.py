"""The pointer: a small file in an output folder that says where its ledger is, when it is kept elsewhere."""

import os
from pathlib import Path

from pipeline.output.local.disk import sync_folder, translated
from pipeline.regular_files import opener

NAME = "state_dir"


def read_pointer(state: Path) -> Path | None:
    """The folder that a state folder points to, or None where it points nowhere.

    Raises:
        StorageFailed: The pointer is there and can't be read, or something else has its name.
    """
    pointer = state / NAME
    with translated("read", pointer):
        try:
            with open(pointer, encoding="utf-8", errors="surrogateescape", opener=opener) as file:
                return Path(file.read().rstrip("\n"))
        except (FileNotFoundError, NotADirectoryError):
            return None


def write_pointer(state: Path, target: Path) -> None:
    """Point to `target`, durably.

    Raises:
        StorageFailed: The disk refused.
    """
    pointer = state / NAME
    with translated("write", pointer):
        if read_pointer(state) == target:
            return
        fresh = pointer.with_name(f"{NAME}.new")
        # Made anew, whatever stood there: never written through a link.
        fresh.unlink(missing_ok=True)
        with fresh.open("x", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{target}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(pointer)
        sync_folder(state)
