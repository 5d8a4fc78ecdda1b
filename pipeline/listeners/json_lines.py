"""Each event as a line of JSON, for programs that collect logs."""

import json
from collections.abc import Callable
from typing import TextIO

from pipeline.clock import utc_now
from pipeline.events import Event


class JsonLines:
    """Writes each event as one line; a stream that nobody reads any more is no reason to stop a run."""

    def __init__(self, stream: TextIO, now: Callable[[], str] = utc_now) -> None:
        """`now`: gives the time that stands in each line, in ISO 8601."""
        self._stream: TextIO | None = stream
        self._now = now

    def __call__(self, event: Event) -> None:
        """Write it."""
        if self._stream is None:
            return
        try:
            print(json.dumps({"time": self._now(), **event.as_dict()}), file=self._stream, flush=True)
        except (OSError, ValueError):
            self._stream = None
