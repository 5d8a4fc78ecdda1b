"""The most memory that this process has had."""

import resource
import sys
from pathlib import Path


def peak() -> int:
    """Bytes that were resident at once.

    Not `ru_maxrss` on Linux: a process that was forked and has become another program still has its parent's there.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
