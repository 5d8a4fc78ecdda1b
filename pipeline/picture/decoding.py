"""Decode pictures in a worker process, so that whatever a decoder does happens to that process."""

import json
import os
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.errors import StorageFailed, UsageError
from pipeline.picture import worker
from pipeline.picture.source import MAX_PIXELS, BrokenPicture, Picture

MEMORY = 2 * 1024**3
"""Bytes of address space for the worker: a picture of `MAX_PIXELS` takes 256 MB once, some decoders thrice."""

_ENVIRONMENT = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")
"""What the worker is told of the environment: what it takes to load a library, and no key."""


_ENDED = "the run has ended before it was decoded"


class Decoder:
    """Decodes one picture at a time; to be used from threads, for each call waits.

    Used as a context manager: the process lives as long as that, and is started again when it has died.

    Args:
        timeout: Seconds for one picture.
    """

    def __init__(self, timeout: float = 60.0) -> None:
        self._timeout = timeout
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def __enter__(self) -> Self:
        """Start the process.

        Raises:
            UsageError: Pillow is not installed, or lacks a format.
        """
        if find_spec("PIL") is None:
            raise _missing("Pillow is not installed")
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, and with it a call that still waits."""
        self._closed = True
        self._kill()

    def check(self, path: Path, picture: Picture) -> None:
        """Decode the picture in a file.

        Args:
            path: The file.
            picture: What its structure has said.

        Raises:
            BrokenPicture: It can't be decoded, or not within the limits.
            StorageFailed: The process can't be started.
        """
        with self._turn:
            if self._closed:
                raise BrokenPicture(_ENDED)
            asked = json.dumps((str(path.absolute()), picture.mime_type, picture.width, picture.height))
            for last in (False, True):
                try:
                    trouble = self._ask(asked)
                    break
                except _Died as death:
                    self._kill()
                    if self._closed:
                        raise BrokenPicture(_ENDED) from None
                    # A process that dies may have been ill already; one that takes too long was not.
                    if last or death.timed_out:
                        raise BrokenPicture(str(death)) from None
        if trouble is not None:
            raise BrokenPicture(trouble)

    def _ask(self, line: str) -> str | None:
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()
        except OSError:
            raise _Died(timed_out=False) from None
        return self._answer(process)

    def _answer(self, process: subprocess.Popen[bytes]) -> str | None:
        """The process's next line; a process that says nothing in time is killed."""
        assert process.stdout is not None
        late = threading.Event()

        def kill() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._timeout, kill)
        timer.daemon = True
        timer.start()
        try:
            answer = json.loads(process.stdout.readline())
        except ValueError:
            raise _Died(timed_out=late.is_set()) from None
        finally:
            timer.cancel()
        return None if answer is None else str(answer)

    def _start(self) -> subprocess.Popen[bytes]:
        found = find_spec("PIL")
        folder = str(Path(found.origin).parent.parent) if found and found.origin else ""
        limits = (str(MAX_PIXELS), str(MEMORY), str(max(1, int(self._timeout))))
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        try:
            # A session of its own: Ctrl-C is for the run, which still needs its decoder then.
            self._process = subprocess.Popen(
                [sys.executable, "-I", worker.__file__, folder, *limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
            missing = self._answer(self._process)
        except (OSError, _Died) as error:
            raise StorageFailed(
                f"can't start a process to decode pictures with ({error}); the next run goes on from here, or set "
                "`check: structure`"
            ) from None
        if missing is not None:
            raise _missing(missing)
        return self._process

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close(pipe)


class _Died(Exception):
    """The process has ended without an answer."""

    def __init__(self, *, timed_out: bool) -> None:
        super().__init__("decoding it took too long" if timed_out else "decoding it makes the decoder crash")
        self.timed_out = timed_out


def _close(pipe: object) -> None:
    try:
        pipe.close()  # type: ignore[attr-defined]
    except OSError:
        return


def _missing(what: str) -> UsageError:
    return UsageError(
        f"decoding pictures needs Pillow: {what}; pip install 'image-pipeline[sandbox]', or set `check: structure`"
    )
