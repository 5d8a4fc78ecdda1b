"""Is what a contestant delivered all of it, and right? Its own word is not asked for."""

import json
from collections.abc import Iterator
from pathlib import Path

from bench.assignment import ANSWERS, Assignment
from bench.upstream.pictures import Pictures

SUFFIXES = (".png", ".jpg", ".webp")


def missing_answers(assignment: Assignment) -> int:
    """How many items' answers were not handed in: as URLs in one file, or as the answers themselves, a file each."""
    wanted = {assignment.url(number) for number in range(assignment.items)}
    return len(wanted - set(_urls(Path(assignment.folder))))


def _urls(folder: Path) -> Iterator[str]:
    if (folder / ANSWERS).exists():
        yield from (folder / ANSWERS).read_text().splitlines()
        return
    for path in folder.rglob("*.json"):
        yield from (picture["url"] for picture in json.loads(path.read_bytes()).get("data", ()))


def missing_pictures(assignment: Assignment, pictures: Pictures) -> int:
    """How many items' pictures are not there byte for byte, whatever their files are called."""
    folder = Path(assignment.folder)
    files = (path for path in folder.rglob("*") if path.suffix in SUFFIXES and not _hidden(path.relative_to(folder)))
    found = {pictures.number(path.read_bytes()) for path in files}
    return len(set(range(assignment.items)) - found)


def _hidden(path: Path) -> bool:
    """Whether it lies where a contestant keeps what it does not deliver."""
    return any(part.startswith(".") for part in path.parts)
