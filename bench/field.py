"""The field: every contestant by its name, made for a task."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench import install, jobs
from bench.assignment import Assignment
from bench.contest import Contestant
from bench.install import Installed

HERE = Installed(program=sys.executable)
"""This project's own environment."""

PYPI = {
    "aiolimiter": ("aiolimiter", "aiohttp"),
    "async-batch-llm": ("async-batch-llm", "aiohttp"),
    "img2dataset": ("img2dataset",),
    "litellm": ("litellm",),
    "openai": ("openai[aiohttp]", "httpx"),
}
"""The peers from PyPI, each with what its environment needs."""


def peer(name: str, module: str, installed: Installed, *options: str) -> Contestant:
    """One of `bench.peers`, run by the interpreter that it was installed with."""

    def prepare(assignment: Assignment) -> Sequence[str]:
        told = replace(assignment, options=(*assignment.options, *options))
        return [installed.program, "-m", f"bench.peers.{module}", told.as_argument()]

    return Contestant(name, prepare, environ=_quiet(installed.environ), absent=installed.absent)


def floor(name: str, *options: str) -> Contestant:
    """The bare script."""
    return peer(name, "floor", HERE, *options)


def raw(name: str) -> Contestant:
    """Bare sockets, with this program's duties but for its ledger."""
    return peer(name, "raw", HERE)


def openai_sdk(name: str, *options: str) -> Contestant:
    """The OpenAI SDK."""
    return peer(name, "openai_sdk", _pypi("openai"), *options)


def litellm(name: str = "litellm, gather", *options: str) -> Contestant:
    """BerriAI's litellm."""
    return peer(name, "litellm_images", _pypi("litellm"), *options)


def async_batch(name: str = "async-batch-llm around aiohttp", *options: str) -> Contestant:
    """async-batch-llm."""
    return peer(name, "async_batch", _pypi("async-batch-llm"), *options)


def aiolimiter() -> Contestant:
    """A script on aiohttp behind aiolimiter."""
    return peer("aiolimiter + aiohttp", "aiolimiter_script", _pypi("aiolimiter"))


def cookbook(per_minute: float | None = None) -> Contestant:
    """The OpenAI cookbook's method, told a limit of its own or the assignment's."""
    made = peer("OpenAI cookbook's method", "cookbook", HERE)
    if per_minute is None:
        return made
    return replace(made, prepare=lambda assignment: made.prepare(replace(assignment, per_minute=per_minute)))


def curl() -> Contestant:
    """The curl command."""
    found = install.from_debian("curl", "curl")
    return peer("curl --parallel", "curl", replace(HERE, environ=_path(found), absent=found.absent))


def aria2() -> Contestant:
    """aria2."""
    found = install.from_debian("aria2c", "aria2")
    here = replace(HERE, environ=found.environ, absent=found.absent)
    return peer("aria2c", "aria2", here, found.program)


def img2dataset() -> Contestant:
    """img2dataset."""
    return peer("img2dataset, bytes as they came", "img2dataset_fetch", _pypi("img2dataset"))


def program(name: str, module: str) -> Contestant:
    """A part of this program, as a script of `bench.peers` that is given the job file as well."""
    part = peer(name, module, HERE)

    def prepare(assignment: Assignment) -> Sequence[str]:
        return [*part.prepare(assignment), str(_job(assignment))]

    return replace(part, prepare=prepare)


def command_line(name: str) -> Contestant:
    """This program itself: `python -m pipeline run`."""

    def prepare(assignment: Assignment) -> Sequence[str]:
        return [sys.executable, "-m", "pipeline", "run", str(_job(assignment)), "--quiet"]

    return Contestant(name, prepare)


def versions() -> list[str]:
    """The versions of all peers that are here."""
    debian = (install.from_debian("curl", "curl"), install.from_debian("aria2c", "aria2"))
    return [found.version for found in (*map(_pypi, PYPI), *debian) if not found.absent]


def _pypi(name: str) -> Installed:
    return install.from_pypi(name, *PYPI[name])


def _job(assignment: Assignment) -> Path:
    return jobs.write(Path(assignment.folder).parent / "job", assignment)


def _path(found: Installed) -> Mapping[str, str]:
    return {"PATH": f"{Path(found.program).parent}{os.pathsep}{os.environ['PATH']}", **found.environ}


def _quiet(environ: Mapping[str, str]) -> Mapping[str, str]:
    """No peer asks the network for news of itself."""
    return {"NO_ALBUMENTATIONS_UPDATE": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True", **environ}
