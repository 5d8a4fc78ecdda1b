"""How a run shows that it goes on: a bar on a terminal, a line now and then elsewhere. tqdm's room."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Never, Self, TextIO

import anyio

from pipeline.events import Event, ImageRecorded, PlanChanged, RunStarted, Severity
from pipeline.model import Record
from pipeline.text import duration, grouped, one_line, short

if TYPE_CHECKING:
    from tqdm import tqdm

Mode = Literal["bar", "lines", "quiet"]

EVERY = 30.0
"""Seconds between two lines where there is no terminal."""

FRESH = 1.0
"""Seconds after which a bar is drawn again though no image has come: what it waits for has a time of its own."""

_FORMAT = "{percentage:3.0f}% {bar} {desc}"

_BESIDE = len("100% ") + 4 + 1
"""Columns that the percentage, the shortest bar and a space take."""

_LEAST_MISSED = ("tokens", "rate", "failed", "left", "waiting")
"""What is left out first where a terminal is narrow."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a run waits for.

    Attributes:
        text: In a few words, for a person.
        regular: It waits like this between any two requests, so the time left can be told from those before.
    """

    text: str
    regular: bool = False


def mode_for(stream: TextIO, *, quiet: bool) -> Mode:
    """How to show progress on this stream."""
    if quiet:
        return "quiet"
    return "bar" if stream.isatty() and _has_size(stream) else "lines"


def _has_size(stream: TextIO) -> bool:
    """Whether a terminal says how large it is; those of many build services and containers do not."""
    try:
        return 0 not in os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return True


class Progress:
    """Listens to a run: counts images and shows them, and says what a person should know. A context manager.

    Attributes:
        waiting: Says what the run waits for just now; None while it gets on.
    """

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
        self.waiting: Callable[[], Waiting | None] = lambda: None
        self._total = total
        self._mode = mode
        self._stream = stream or sys.stderr
        self._clock = clock
        self._every = every
        self._began = self._told = clock()
        self._saved = self._failed = self._tokens = 0
        self._run = ""
        self._bar: tqdm[Never] | None = None

    def __enter__(self) -> Self:
        if self._mode == "bar" and self._total:
            # Imported here: a run with nothing to show need not load it.
            from tqdm import tqdm

            # Its watcher thread is for loops that stall; ours is told of everything.
            tqdm.monitor_interval = 0
            with self._while_heard():
                self._bar = tqdm(
                    desc=self._state(),
                    total=self._total,
                    file=self._stream,
                    dynamic_ncols=True,
                    leave=False,
                    bar_format=_FORMAT,
                )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            with self._while_heard():
                self._bar.close()

    def expect(self, total: int) -> None:
        """Another number of images is to be made than was thought."""
        self._total = total
        if self._bar is not None:
            self._bar.total = total

    def __call__(self, event: Event) -> None:
        """Count an image, and say in a line of its own what a person should know."""
        match event:
            case ImageRecorded(record):
                self._count(record)
            case RunStarted(run):
                self._run = run
            case PlanChanged(images):
                self.expect(images)
        if event.severity >= Severity.INFO:
            self.say(event.line)

    def _count(self, record: Record) -> None:
        if record.status == "saved":
            self._saved += 1
            # What an earlier run has paid for costs this one nothing.
            if (record.client_request_id or "").startswith(f"{self._run}."):
                self._tokens += record.tokens_used or 0
        else:
            self._failed += 1
        self._tick()

    def say(self, text: str) -> None:
        """Say something in a line of its own, without tearing the bar."""
        line = one_line(text)
        with self._while_heard():
            if self._bar is not None:
                self._bar.write(line, file=self._stream)
            elif self._mode != "quiet":
                print(line, file=self._stream, flush=True)

    async def keep_fresh(self, every: float = FRESH) -> None:
        """Draw the bar again and again, until cancelled; where there is none, this returns at once."""
        while self._bar is not None:
            await anyio.sleep(every)
            self.refresh()

    def refresh(self) -> None:
        """Draw the bar as things are now."""
        if self._bar is not None:
            with self._while_heard():
                self._describe(self._bar)
                self._bar.refresh()

    @contextmanager
    def _while_heard(self) -> Iterator[None]:
        """Say nothing more once nobody listens: a closed pipe or terminal is no reason to stop a run."""
        try:
            yield
        except OSError:
            self._mode = "quiet"
            if self._bar is not None:
                self._bar.disable = True
                self._bar = None

    def _tick(self) -> None:
        if self._bar is not None:
            with self._while_heard():
                self._describe(self._bar)
                self._bar.update()
        elif self._mode == "lines" and self._clock() - self._told >= self._every:
            self._told = self._clock()
            self.say(self._state())

    def _describe(self, bar: "tqdm[Never]") -> None:
        columns = bar.format_dict["ncols"]
        bar.set_description_str(self._state(columns and columns - _BESIDE), refresh=False)

    def _state(self, room: int | None = None) -> str:
        """How far the run is, in at most `room` characters where that is possible."""
        parts = self._parts()
        for name in _LEAST_MISSED:
            if room is None or len(", ".join(parts.values())) <= room:
                break
            parts.pop(name, None)
        return ", ".join(parts.values())

    def _parts(self) -> dict[str, str]:
        """Images, images a minute, tokens, failures and the time it will still take, as far as there are any.

        While the run waits for something that takes a time of its own, that stands there instead.
        """
        elapsed = self._clock() - self._began
        done = self._saved + self._failed
        parts = {"images": f"{grouped(done)}/{grouped(self._total)} images"}
        if done and elapsed > 0:
            rate = done / elapsed * 60
            parts["rate"] = f"{grouped(round(rate)) if rate >= 10 else f'{rate:.1f}'}/min"
        if self._tokens:
            parts["tokens"] = f"{short(self._tokens)} tokens"
        if self._failed:
            parts["failed"] = f"{grouped(self._failed)} failed"
        waiting = self.waiting() if done < self._total else None
        if waiting:
            parts["waiting"] = waiting.text
        if 0 < done < self._total and (waiting is None or waiting.regular):
            parts["left"] = f"ETA {duration(elapsed / done * (self._total - done))}"
        return parts
