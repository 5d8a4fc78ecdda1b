"""`curl --parallel`: the requests in one call of it, then the pictures in another."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

from bench.assignment import Assignment, received


def run(lines: Iterable[str], assignment: Assignment) -> None:
    """One call of curl with this configuration."""
    config = Path(assignment.folder) / "curl.conf"
    config.write_text("\n".join(lines))
    in_flight = str(min(assignment.in_flight, 300))  # curl takes no more
    command = ["curl", "--silent", "--show-error", "--fail", "--parallel", "--parallel-max", in_flight]
    subprocess.run([*command, "--config", str(config)], check=True)


def requests(assignment: Assignment) -> Iterable[str]:
    """The configuration for the requests; a transfer with options of its own is followed by `next`."""
    for number in range(assignment.items):
        body = json.dumps(json.dumps(assignment.body(number)))
        yield "next" if number else ""
        yield f'url = "{assignment.endpoint}"\nheader = "Content-Type: application/json"\ndata = {body}'
        yield f'output = "{assignment.folder}/{number:07d}.json"'


def downloads(assignment: Assignment, urls: Iterable[str]) -> Iterable[str]:
    """The configuration for the pictures."""
    for url in urls:
        yield f'url = "{url}"\noutput = "{assignment.path(url)}"'


def answered(assignment: Assignment) -> Iterable[str]:
    """The URLs in the answers."""
    for number in range(assignment.items):
        answer = Path(assignment.folder) / f"{number:07d}.json"
        yield json.loads(answer.read_bytes())["data"][0]["url"]


def main(assignment: Assignment) -> None:
    """Do the assignment."""
    if assignment.task != "fetch":
        run(requests(assignment), assignment)
    if assignment.task == "fetch":
        run(downloads(assignment, map(assignment.url, range(assignment.items))), assignment)
    elif assignment.task == "both":
        run(downloads(assignment, answered(assignment)), assignment)


if __name__ == "__main__":
    main(received())
