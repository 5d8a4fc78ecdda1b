"""Let the Nth call of one kind to the operating system fail, once or for good, as a disk does.

Only calls about files below one folder count. SQLite does its own; it is made to fail in its own way.
"""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

CALLS = ("open", "write", "fsync", "ftruncate", "replace", "link", "unlink", "mkdir", "scandir", "stat")
"""What can be made to fail, by its name in `os`."""


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
        with ExitStack() as stack:
            for name in CALLS:
                stack.enter_context(patch.object(os, name, self._wrapped(name, getattr(os, name))))
            # `Path.open` does not go by way of `os.open`.
            stack.enter_context(patch.object(io, "open", self._wrapped("open", io.open)))
            stack.enter_context(patch.object(os, "close", self._closing(os.close)))
            yield self

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(target: Any = ".", *arguments: Any, **options: Any) -> Any:
            ours = self._is_ours(target)
            if ours and name == self._call:
                self._seen += 1
                if self._seen == self._nth or (self._sticky and self._seen > self._nth):
                    self.struck += 1
                    raise OSError(self._errno, os.strerror(self._errno))
            result = call(target, *arguments, **options)
            if ours and name == "open" and isinstance(result, int):
                self._files.add(result)
            return result

        return wrapper

    def _closing(self, close: Callable[[int], None]) -> Callable[[int], None]:
        def wrapper(descriptor: int) -> None:
            self._files.discard(descriptor)
            close(descriptor)

        return wrapper

    def _is_ours(self, target: Any) -> bool:
        if isinstance(target, int):
            return target in self._files
        return isinstance(target, str | Path) and str(Path(target).absolute()).startswith(self._root)
