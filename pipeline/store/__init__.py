"""The output folder: its lock, its files, and what is kept beside them.

`Store` is the folder while a run holds it. `inspect` and `stat_mtime_ns` look at its files and need no lock.
Everything that the disk refuses becomes a `StorageFailed` here, in words that say what to do.
"""

from pipeline.store.disk import FileState, inspect, is_there, stat_mtime_ns
from pipeline.store.folder import Store
from pipeline.store.handle import LedgerGone
from pipeline.store.part import Part
from pipeline.store.pointer import read_pointer, write_pointer
from pipeline.store.regular import open_regular, opener, refuse_other

__all__ = [
    "FileState",
    "LedgerGone",
    "Part",
    "Store",
    "inspect",
    "is_there",
    "open_regular",
    "opener",
    "read_pointer",
    "refuse_other",
    "stat_mtime_ns",
    "write_pointer",
]
