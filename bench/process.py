"""One child process: its time, its CPU and its memory, those of its children included."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench import machine

LONGEST = 1800.0
"""Seconds after which a child is ended: it hangs."""

_STARTER = Path(__file__).with_name("starter.py")

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """What a child took.

    Attributes:
        seconds: From its start to its end.
        cpu: Seconds of CPU, user and system, of all its processes; 0 if it was killed from here.
        peak: Bytes of memory of the largest of them, at most at any time; 0 likewise.
        exit_code: Negative: the signal that ended it.
        said: The end of what it wrote, errors included.
    """

    seconds: float
    cpu: float
    peak: int
    exit_code: int
    said: str = ""


class Child:
    """A process in a group of its own, on the contestants' core.

    Args:
        command: Program and arguments.
        log: The file for its output.
        environ: Added to the environment.
    """

    def __init__(self, command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None) -> None:
        self._log = log
        self._usage: Usage | None = None
        self._report, report = os.pipe()
        core = -1 if machine.CLIENT_CORE is None else machine.CLIENT_CORE
        try:
            with log.open("wb") as out:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_STARTER), str(report), str(core), *command],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    cwd=machine.ROOT,
                    env={**os.environ, **(environ or {})},
                    start_new_session=True,
                    pass_fds=(report,),
                )
        finally:
            os.close(report)
        self.started = float(os.read(self._report, 100) or time.monotonic())

    def wait(self, longest: float = LONGEST) -> Usage:
        """Wait for its end; after so many seconds it is ended."""
        hangs = threading.Timer(longest, self.kill)
        hangs.start()
        try:
            self._reap(0)
        finally:
            hangs.cancel()
        assert self._usage is not None
        return self._usage

    def runs(self) -> bool:
        """Whether it has not ended yet; it is not waited for."""
        self._reap(os.WNOHANG)
        return self._usage is None

    def _reap(self, options: int) -> None:
        """Take note of what it took, once it has ended."""
        if self._usage is not None:
            return
        pid, status = os.waitpid(self._process.pid, options)
        if pid:
            self._process.returncode = os.waitstatus_to_exitcode(status)
            took = os.read(self._report, 200).decode().split()
            os.close(self._report)
            if not took:  # It was ended from here together with its starter, or could not be started.
                took = [str(time.monotonic()), "0", "0", str(self._process.returncode)]
            self._usage = Usage(
                seconds=float(took[0]) - self.started,
                cpu=float(took[1]),
                peak=int(took[2]) * _RSS_UNIT,
                exit_code=int(took[3]),
                said=self._log.read_text(errors="replace")[-2000:],
            )

    def kill(self) -> None:
        """End it and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def measure(command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None) -> Usage:
    """Run one child to its end."""
    return Child(command, log, environ).wait()


def one_line(said: str) -> str:
    """The last thing that a program said, as a cell can hold it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:120].replace("|", "/") if lines else "without a word"
