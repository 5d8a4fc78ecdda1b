"""What one contestant is told to do, and how it hands in what it got. Needs nothing but the standard library."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MODEL = "google/imagen-4.0-ultra-generate-001"
RATIO = "1:1"
KEY = "bench-key"
"""Sent by those who insist on one; the server looks at none."""

ANSWERS = "answers.txt"


@dataclass(frozen=True, slots=True)
class Assignment:
    """The work of one contestant in one round.

    Attributes:
        task: `ask` (requests alone), `fetch` (downloads alone), or `both`.
        base: Base URL of the API, without `/v1`.
        pictures: Base URL of the pictures: number 7 is `{pictures}/0000007.png`.
        items: How many; they are numbered from 0.
        in_flight: Requests, and downloads, in flight at once.
        folder: An empty folder for what is delivered.
        per_minute: Requests a minute that the contestant is told it may send, or None.
        options: What distinguishes variants of one contestant.
    """

    task: str
    base: str
    pictures: str
    items: int
    in_flight: int
    folder: str
    per_minute: float | None = None
    options: tuple[str, ...] = ()

    @property
    def endpoint(self) -> str:
        """The URL to POST to."""
        return f"{self.base}/v1/images/generations"

    def as_argument(self) -> str:
        """This assignment as one argument of a command line."""
        return json.dumps(asdict(self))

    def prompt(self, number: int) -> str:
        """The prompt of an item; the server reads its number from it."""
        return f"picture {number:07d}"

    def body(self, number: int) -> dict[str, Any]:
        """The body of an item's request."""
        return {"model": MODEL, "prompt": self.prompt(number), "aspect_ratio": RATIO}

    def url(self, number: int) -> str:
        """Where an item's picture is."""
        return f"{self.pictures}/{number:07d}.png"

    def path(self, url: str) -> Path:
        """The file for the picture of this URL."""
        return Path(self.folder) / url.rpartition("/")[2]

    def hand_in(self, urls: Iterable[str]) -> None:
        """Write down the URLs that the answers held, as proof that they arrived."""
        (Path(self.folder) / ANSWERS).write_text("".join(f"{url}\n" for url in urls))


def received() -> Assignment:
    """The assignment that this process was started with."""
    found = json.loads(sys.argv[1])
    return Assignment(**{**found, "options": tuple(found["options"])})
