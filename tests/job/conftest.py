"""Jobs written to real files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import job as jobfile
from pipeline.errors import Problem, UsageError
from pipeline.model import Item

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a job, and the files it includes, into a folder of its own."""

    def write(text: str | bytes, **includes: str | bytes) -> Path:
        for name, content in ({"job.yaml": text} | includes).items():
            path = tmp_path / name.replace("__", ".")
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / "job.yaml"

    return write


def items(path: Path) -> list[Item]:
    """The items of a job that is right."""
    return list(jobfile.expand(jobfile.load(path)))


def problems(path: Path) -> tuple[Problem, ...]:
    """The problems of a job that is wrong."""
    with pytest.raises(UsageError) as caught:
        jobfile.load(path)
    return caught.value.problems


def at(problem: Problem) -> str:
    """Where a problem is, without its folder: `job.yaml:3:5`."""
    return str(problem.place).rpartition("/")[2]
