"""Let the Nth call of one kind to the operating system fail, once or for good, as a disk does.

Only calls about files below one folder count. SQLite does its own; it is made to fail in its own way.
"""

import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

CALLS = (
    *("open", "write", "fsync", "ftruncate", "close", "replace", "link", "unlink", "mkdir", "chmod"),
    *("scandir", "stat", "lstat", "fstat", "statvfs"),
)
"""What can be made to fail, by its name in `os`."""

SHORT = 0
"""In the place of an errno: nothing fails, but a write takes only the first half of what it was given."""


class Injector:
    """Counts calls of one kind, and lets the `nth` one fail, or with `sticky` every one from there on.

    Attributes:
        struck: How often a call has failed.
    """

    def __init__(self, root: Path, call: str, number: int, nth: int, *, sticky: bool) -> None:
        self._root = str(root.resolve())
        self._call = call
        self._errno = number
        self._nth = nth
        self._sticky = sticky
        self._seen = 0
        self._files: set[int] = set()
        self.struck = 0

    @contextmanager
    def active(self) -> Iterator["Injector"]:
        """Until the end of the block."""
        opened = self._wrapped("open", self._open)
        with ExitStack() as stack:
            for name in CALLS:
                stack.enter_context(patch.object(os, name, self._wrapped(name, getattr(os, name))))
            # Files of Python's own make their calls by themselves.
            stack.enter_context(patch.object(os, "fdopen", self._fdopen))
            stack.enter_context(patch.object(io, "open", opened))
            stack.enter_context(patch.object(builtins, "open", opened))
            yield self

    def strikes(self, name: str) -> bool:
        """Count a call; whether it is to fail."""
        if name != self._call:
            return False
        self._seen += 1
        strikes = self._seen == self._nth or (self._sticky and self._seen > self._nth)
        self.struck += strikes
        return strikes

    def write(self, write: Callable[[Any], int], data: Any) -> int:
        """Write, unless the disk refuses; or a part only, where it is nearly full."""
        if self.strikes("write"):
            self._fail()
            data = memoryview(data)[: (len(data) + 1) // 2]
        return write(data)

    def _fail(self) -> None:
        if self._errno != SHORT:
            raise OSError(self._errno, os.strerror(self._errno))

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(target: Any = ".", *arguments: Any, **options: Any) -> Any:
            within = options.get("dir_fd", options.get("src_dir_fd"))
            if not self._is_ours(target if within is None else within):
                return call(target, *arguments, **options)
            if name == "write":
                return self.write(lambda data: int(call(target, data)), *arguments)
            if name == "close":
                # The file is closed in any case, as on Linux.
                self._files.discard(target)
                call(target)
            if self.strikes(name):
                self._fail()
            if name == "close":
                return None
            result = call(target, *arguments, **options)
            if name == "open":
                self._files.add(result if isinstance(result, int) else result.fileno())
            return result

        return wrapper

    def _open(self, target: Any, mode: str = "r", buffering: int = -1, *text: Any, **options: Any) -> Any:
        if not self._is_ours(target) or ("r" in mode and "+" not in mode):
            return OPEN(target, mode, buffering, *text, **options)
        raw = self._raw(target, mode)
        kind = io.BufferedRandom if "+" in mode else io.BufferedWriter
        buffered = kind(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *text, **options)

    def _fdopen(self, descriptor: int, mode: str = "r", buffering: int = -1, *text: Any, **options: Any) -> Any:
        if descriptor in self._files and buffering == 0:
            return self._raw(descriptor, mode)
        return OPEN(descriptor, mode, buffering, *text, **options)

    def _raw(self, target: Any, mode: str) -> io.FileIO:
        injector = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                return injector.write(super().write, data)

        return Raw(target, mode.replace("b", "").replace("t", ""))

    def _is_ours(self, target: Any) -> bool:
        if isinstance(target, int):
            return target in self._files
        return isinstance(target, str | Path) and str(Path(target).absolute()).startswith(self._root)


OPEN = io.open
