"""The package as a Python user meets it."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

import pipeline
from pipeline import Decision, Job, Plan, Record, load_job, run, run_async, status, verify
from pipeline.events import Event
from tests.policies import QUICK
from tests.run.conftest import site
from tests.run.site import KEY, Site

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


def test_what_cannot_be_called_with_a_record_is_refused_before_anything_is_sent(job: Job) -> None:
    with pytest.raises(TypeError, match="on_record"):
        run(job, on_record="x")  # type: ignore[arg-type]
    assert not job.output.exists()


async def test_a_coroutine_function_has_seen_every_record_when_the_run_is_over(site: Site) -> None:
    seen: list[str] = []

    async def on_record(record: Record) -> None:
        await anyio.sleep(0.01)
        seen.append(record.id)

    summary = await site.run("A fox", "A crow", on_record=on_record)
    assert (summary.saved, len(seen)) == (2, 2)


async def test_what_a_coroutine_function_raises_is_raised_by_the_run_and_nothing_is_paid_twice(site: Site) -> None:
    async def on_record(record: Record) -> None:
        raise LookupError(record.id)

    with pytest.raises(LookupError):
        await site.run("A fox", on_record=on_record)
    assert (await site.run()).exit_code == 0
    assert site.sandbox.request_log.count() == 1


async def test_a_listener_hears_of_each_step_of_a_picture_in_its_order(site: Site) -> None:
    heard: list[Event] = []
    job = site.load("A fox")
    await run_async(job, environ={"AIML_API_KEY": KEY}, listeners=[heard.append], policy=QUICK)
    assert [event.name for event in heard] == [
        "run_started",
        "request_sent",
        "answer_paid",
        "image_recorded",
        "run_ended",
    ]


def test_reports_take_text_paths_and_jobs(job: Job, tmp_path: Path) -> None:
    assert run(job).exit_code == 0
    for source in (job, str(job.path), job.path, str(job.output), job.output):
        assert status(source).saved == 2
        assert verify(source).sound
    with pytest.raises(pipeline.UsageError, match="run the job first"):
        status(str(tmp_path / "nowhere"))
    with pytest.raises(pipeline.UsageError, match=r"typo\.yaml"):
        status(str(tmp_path / "typo.yaml"))
