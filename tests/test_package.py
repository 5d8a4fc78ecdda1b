"""The package as a Python user meets it."""

import functools
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline import Decision, Job, Plan, Record, load_job, run, status, verify
from tests.run.conftest import site
from tests.run.site import Site

__all__ = ["site"]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = tmp_path / "job.yaml"
    output = str(tmp_path / "out")
    path.write_text(json.dumps({"endpoint": "sandbox", "output": output, "prompts": ["A fox", "An owl"]}))
    return load_job(path)


def test_every_public_name_is_there_and_has_its_words() -> None:
    for name in pipeline.__all__:
        assert getattr(pipeline, name) is not None
        assert name in dir(pipeline)


def test_a_module_never_takes_the_place_of_a_function_of_its_name(job: Job) -> None:
    importlib.import_module("pipeline.plan")
    from pipeline import plan

    *decisions, total = plan(job)
    assert isinstance(total, Plan)
    assert total.requests == 2
    assert [type(decision) for decision in decisions] == [Decision, Decision]


def test_mypy_knows_plan_as_a_function(tmp_path: Path) -> None:
    program = tmp_path / "user.py"
    program.write_text(
        "from pathlib import Path\n"
        "from pipeline import load_job, plan, status, verify\n"
        "job = load_job('job.yaml')\n"
        "steps = list(plan(job))\n"
        "print(status('out').saved, status(Path('out')).saved, status(job).saved, verify('out').sound)\n"
        "plan(3)\n"
    )
    words = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(program)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.count(" error: ") == 1
    assert 'user.py:6: error: Argument 1 to "plan" has incompatible type "int"' in done.stdout


async def listening(record: Record) -> None:
    """What a user of asyncio may pass."""


class Listening:
    async def __call__(self, record: Record) -> None:
        """The same as an object."""


@pytest.mark.parametrize("on_record", [listening, functools.partial(listening), Listening(), Listening().__call__, "x"])
def test_what_cannot_be_called_as_a_run_calls_it_is_refused_before_anything_is_sent(job: Job, on_record: Any) -> None:
    with pytest.raises(TypeError, match="on_record"):
        run(job, on_record=on_record)
    assert not job.output.exists()


def returning(record: Record) -> Any:
    """A plain function that passes a coroutine on."""
    return listening(record)


async def test_an_awaitable_that_comes_back_is_an_error_and_no_warning(site: Site) -> None:
    with pytest.raises(TypeError, match="on_record returned an awaitable"):
        await site.run("A fox", on_record=returning)
    assert (await site.run()).exit_code == 0


def test_reports_take_text_paths_and_jobs(job: Job, tmp_path: Path) -> None:
    assert run(job).exit_code == 0
    for source in (job, str(job.path), job.path, str(job.output), job.output):
        assert status(source).saved == 2
        assert verify(source).sound
    with pytest.raises(pipeline.UsageError, match="run the job first"):
        status(str(tmp_path / "nowhere"))
    with pytest.raises(pipeline.UsageError, match=r"typo\.yaml"):
        status(str(tmp_path / "typo.yaml"))
