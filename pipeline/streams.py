"""Standard output and standard error as they may be: closed, full, read by nobody, or without some letters.

What can't be said never changes what a command has come to. Python itself would end with exit code 120 where a buffer
can't be written at exit, so everything is written before, and a stream that refused leads nowhere from then on.
"""

import errno
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

_refused: OSError | None = None
"""Why standard output could not be written, if that matters to the exit code."""


def prepare() -> None:
    """Make both streams usable: a closed one leads nowhere, and a letter that one has no sign for is escaped."""
    global _refused
    _refused = None
    _occupy()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - to the end of the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _occupy() -> None:
    """Let no file that is opened later get the number of a standard stream that is closed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def out(text: str, *, needed: bool = True) -> bool:
    """Write lines to standard output.

    Args:
        text: The lines, without the last line feed.
        needed: Whether the command is for these lines: a full disk is then its failure (`finish`).

    Returns:
        Whether anything more can be written.
    """
    try:
        sys.stdout.write(f"{text}\n")
    except (OSError, ValueError) as error:
        _refuse(error, needed=needed)
        return False
    return _refused is None


def out_bytes(line: bytes) -> bool:
    """Write bytes to standard output, as `out` writes text."""
    try:
        sys.stdout.buffer.write(line)
    except (OSError, ValueError) as error:
        _refuse(error, needed=True)
        return False
    return _refused is None


def flush(*, needed: bool = True) -> None:
    """Bring to standard output what was written so far."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        _refuse(error, needed=needed)


def say(text: str) -> None:
    """Write lines to standard error; where they can't be written they stay unsaid."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        _lead_nowhere(sys.stderr)


def finish(code: int) -> int:
    """Write out both streams.

    Returns:
        The exit code: `code`, or 6 where that is 0 and what the command was to write found no place. A reader that has
        gone has seen what it wanted: that is not a failure.
    """
    flush()
    if code == 0 and _refused is not None and _refused.errno != errno.EPIPE:
        say(f"error: standard output can't be written: {_refused.strerror}")
        code = 6
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        _lead_nowhere(sys.stderr)
    return code


def _refuse(error: OSError | ValueError, *, needed: bool) -> None:
    global _refused
    if needed and isinstance(error, OSError) and _refused is None:
        _refused = error
    _lead_nowhere(sys.stdout)


def _lead_nowhere(stream: TextIO) -> None:
    """Let what is in the buffer of a stream, and all that follows, be written to where it is thrown away."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
