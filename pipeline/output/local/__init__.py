"""The output folder: its lock, its files, and what is kept beside them.

`OutputFolder` is the folder while a run holds it. `inspect` and `stat_mtime_ns` look at its files and need no lock.
Everything that the disk refuses becomes a `StorageFailed` here, in words that say what to do.
"""

from pipeline.output.local.disk import FileState, inspect, is_there, stat_mtime_ns
from pipeline.output.local.folder import OutputFolder
from pipeline.output.local.handle import LedgerGone
from pipeline.output.local.part import Part
from pipeline.output.local.pointer import read_pointer, write_pointer

__all__ = [
    "FileState",
    "LedgerGone",
    "OutputFolder",
    "Part",
    "inspect",
    "is_there",
    "read_pointer",
    "stat_mtime_ns",
    "write_pointer",
]
