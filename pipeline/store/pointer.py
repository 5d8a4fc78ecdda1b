"""The pointer: a small file in an output folder that says where its ledger is, when it is kept elsewhere."""

import os
from pathlib import Path

from pipeline.store.disk import sync_folder, translated

NAME = "state_dir"


def read_pointer(state: Path) -> Path | None:
    """The folder that a state folder points to, or None where it points nowhere.

    Raises:
        StorageFailed: The pointer is there and can't be read.
    """
    pointer = state / NAME
    with translated("read", pointer):
        try:
            return Path(pointer.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n"))
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
        with fresh.open("w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{target}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(pointer)
        sync_folder(state)
