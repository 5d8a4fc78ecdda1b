"""What SQLite and the disk refuse, in words for people."""

import sqlite3
from pathlib import Path

from pipeline.errors import StorageFailed

REFUSALS = (sqlite3.Error, ValueError, OverflowError)
"""What SQLite and its Python module raise: the last two of a text or a number that is none, as damage makes them."""

ELSEWHERE = "keep it on a local disk with `state_dir:` in the job"
"""The cure for a file system that can't hold a ledger or its lock."""


def storage_failed(path: Path, error: Exception) -> StorageFailed:
    """What SQLite or the operating system said, for people."""
    return StorageFailed(f"the ledger {path} can't be used: {error}; check the disk's space and permissions")
