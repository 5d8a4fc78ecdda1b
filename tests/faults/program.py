"""The program as a process of its own, and a sandbox as another: what a scheduler starts, stops and kills."""

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.faults.scale import count

KEY = "sk-live-4f9a1c77e0b2"
PATIENCE = float(count(50, 900))
"""Seconds that a command may take on a busy machine; it is no claim about its speed."""


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "pipeline", *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "AIML_API_KEY": KEY, "PYTHONWARNINGS": "error"}


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    return subprocess.run(
        command(*arguments), env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def start(*arguments: str | Path, under: Sequence[str] = ()) -> "subprocess.Popen[str]":
    """Start one command, under another program such as `nohup` if one is named."""
    whole = [*under, *command(*arguments)]
    return subprocess.Popen(whole, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


IN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes the terminal on standard input the process's own, so that closing it hangs up, then becomes the command."""


def start_in_terminal(*arguments: str | Path, said: Path | None = None) -> "tuple[subprocess.Popen[bytes], int]":
    """Start one command in a terminal of its own, which shows what goes to stderr and, without `said`, to stdout.

    Returns:
        The process, and the terminal's other end: closing it closes the terminal. Nobody reads what is shown, so it
        must be little.
    """
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (30, 100))
    with ExitStack() as files:
        files.callback(os.close, terminal)
        process = subprocess.Popen(
            [sys.executable, "-c", IN_TERMINAL, *command(*arguments)],
            env=environment(),
            stdin=terminal,
            stdout=files.enter_context(said.open("wb")) if said else terminal,
            stderr=terminal,
            start_new_session=True,
        )
    return process, master


@contextmanager
def sandbox(state: Path, *options: str) -> Iterator[str]:
    """The sandbox as a process of its own, which outlives the runs that it serves; its base URL."""
    process = start("sandbox", "--port", "0", "--state", state, *options)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def write_job(folder: Path, base: str, items: int, **limits: Any) -> Path:
    """A job of so many items of two images each, whose output is `out` beside it."""
    job = {
        "name": "night",
        "endpoint": base,
        "output": str(folder / "out"),
        "aspect_ratios": ["1:1"],
        "prompts": [{"id": f"p{n}", "prompt": f"picture number {n}", "count": 2} for n in range(items)],
        "limits": {"concurrency": 8, "downloads": 8, "billing_lag": 0.1, **limits},
    }
    path = folder / "night.yaml"
    path.write_text(json.dumps(job))
    return path


def rows(database: Path, query: str) -> Sequence[Any]:
    """What a query says of a database, or nothing while there is none."""
    if not database.exists():
        return []
    connection = sqlite3.connect(database)
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()


def billed(state: Path) -> dict[str, int]:
    """By the sandbox's own books: the ids of the attempts that were billed, and how often each."""
    query = "SELECT client_request_id, count(*) FROM requests WHERE credits > 0 GROUP BY client_request_id"
    return dict(rows(state / "books.db", query))


def attempts(output: Path, state: str) -> set[str]:
    """By the ledger: the ids of the attempts in one state."""
    query = f"SELECT id FROM attempts WHERE state = '{state}'"
    return {found for (found,) in rows(output / ".pipeline" / "ledger.db", query)}


def wait_for(output: Path, state: str, number: int) -> None:
    """Wait until the ledger has at least so many attempts in one state."""
    deadline = time.monotonic() + PATIENCE
    while len(attempts(output, state)) < number:
        assert time.monotonic() < deadline, f"there were never {number} attempts in state {state}"
        time.sleep(0.01)
