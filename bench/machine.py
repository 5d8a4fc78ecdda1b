"""The machine: which core does what, and what it is in words."""

import os
import platform
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "bench" / ".cache"

_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
CLIENT_CORE = _CORES[0] if len(_CORES) > 1 else None
UPSTREAM_CORE = _CORES[1] if len(_CORES) > 1 else None
"""One core each; None where the system can't be told, or has only one."""


def pin(pid: int, core: int | None) -> None:
    """Let a process, and what it starts from now on, run on one core alone; 0 is this process."""
    if core is not None:
        os.sched_setaffinity(pid, {core})


def description() -> list[tuple[str, str]]:
    """What the measurements depend on, as pairs of a name and a value."""
    pinned = "one core for the contestants, another for the server" if CLIENT_CORE is not None else "not pinned"
    return [
        ("system", f"{platform.system()} {platform.release().partition('-')[0]}, {platform.machine()}"),
        ("processor", f"{_processor()}, {os.cpu_count()} cores; {pinned}"),
        ("memory", f"{_memory_gb():.0f} GB"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()} ({sys.platform})"),
        ("file system", _file_system()),
    ]


def commit() -> str:
    """Which state of the project this is, as ` at 1a2b3c4`; empty where nobody can tell."""
    with suppress(OSError, subprocess.SubprocessError):
        command = ["git", "describe", "--always", "--dirty"]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=30)
        return f" at {done.stdout.strip()}"
    return ""


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _file_system() -> str:
    """The kind of file system that the contestants write to."""
    best, kind = "", "unknown"
    with suppress(OSError):
        for line in Path("/proc/mounts").read_text().splitlines():
            _, mount, found, *_ = line.split()
            inside = mount == "/" or str(CACHE).startswith(f"{mount}/")
            if inside and len(mount) >= len(best):
                best, kind = mount, found
    return kind
