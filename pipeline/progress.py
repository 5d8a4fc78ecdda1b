"""How a run shows that it goes on: a bar on a terminal, a line now and then elsewhere. tqdm's room."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Never, Self, TextIO

from pipeline.text import duration, grouped, one_line

if TYPE_CHECKING:
    from tqdm import tqdm

Mode = Literal["bar", "lines", "quiet"]

EVERY = 30.0
"""Seconds between two lines where there is no terminal."""


def mode_for(stream: TextIO, *, quiet: bool) -> Mode:
    """How to show progress on this stream."""
    if quiet:
        return "quiet"
    return "bar" if stream.isatty() else "lines"


class Progress:
    """Counts images and shows them. A context manager."""

    def __init__(
        self,
        total: int,
        *,
        mode: Mode = "quiet",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        every: float = EVERY,
    ) -> None:
        """`total` images are to be made; `every` is the seconds between two lines."""
        self._total = total
        self._mode = mode
        self._stream = stream or sys.stderr
        self._clock = clock
        self._every = every
        self._began = self._told = clock()
        self._saved = self._failed = self._tokens = 0
        self._bar: tqdm[Never] | None = None

    def __enter__(self) -> Self:
        if self._mode == "bar":
            # Imported here: a run with nothing to show need not load it.
            from tqdm import tqdm

            # Its watcher thread is for loops that stall; ours is told of everything.
            tqdm.monitor_interval = 0
            self._bar = tqdm(
                total=self._total,
                file=self._stream,
                dynamic_ncols=True,
                leave=False,
                bar_format="{percentage:3.0f}% {bar} {n_fmt}/{total_fmt} images, {postfix}",
            )
            self._show()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def saved(self, tokens: int | None) -> None:
        """One more image is there; `tokens` is what it cost, where known."""
        self._saved += 1
        self._tokens += tokens or 0
        self._tick()

    def failed(self) -> None:
        """One more image has failed."""
        self._failed += 1
        self._tick()

    def note(self, text: str) -> None:
        """Say something in a line of its own, without tearing the bar."""
        line = one_line(text)
        if self._bar is not None:
            self._bar.write(line, file=self._stream)
        elif self._mode == "lines":
            print(line, file=self._stream, flush=True)

    def _tick(self) -> None:
        if self._bar is not None:
            self._show()
            self._bar.update()
        elif self._mode == "lines" and self._clock() - self._told >= self._every:
            self._told = self._clock()
            done = self._saved + self._failed
            self.note(f"{grouped(done)}/{grouped(self._total)} images, {self._rest()}")

    def _show(self) -> None:
        assert self._bar is not None
        self._bar.set_postfix_str(self._rest(), refresh=False)

    def _rest(self) -> str:
        """Everything but the count: images a minute, tokens, failures, and how long it will still take."""
        elapsed = self._clock() - self._began
        done = self._saved + self._failed
        parts = [f"{done / elapsed * 60:.0f}/min"] if done and elapsed > 0 else []
        parts.append(f"{grouped(self._tokens)} tokens")
        if self._failed:
            parts.append(f"{grouped(self._failed)} failed")
        if 0 < done < self._total:
            parts.append(f"ETA {duration(elapsed / done * (self._total - done))}")
        return ", ".join(parts)
