"""The lock files: what `make run` and the developers' targets install, to the byte, today and next month."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
RUN, DEV = ROOT / "locks" / "run.txt", ROOT / "locks" / "dev.txt"
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; (.+?))?(?: \\)?$")

both = pytest.mark.parametrize("lock", [RUN, DEV], ids=["run", "dev"])


@cache
def pins(lock: Path) -> dict[str, Version]:
    """The version of each package that a lock file names."""
    found = [PIN.match(line) for line in lock.read_text().splitlines()]
    return {match[1]: Version(match[2]) for match in found if match}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def wanted(*extras: str) -> list[Requirement]:
    """What pyproject.toml asks for: to run, to build, and for these extras."""
    declared = project()
    texts = [*declared["project"]["dependencies"], *declared["dependency-groups"]["build"]]
    texts += [text for extra in extras for text in declared["project"]["optional-dependencies"][extra]]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize(("lock", "extras"), [(RUN, ("sandbox",)), (DEV, ("sandbox", "dev"))], ids=["run", "dev"])
def test_a_lock_pins_a_version_that_pyproject_allows_of_all_that_it_asks_for(
    lock: Path, extras: tuple[str, ...]
) -> None:
    pinned = pins(lock)
    wrong = [
        f"{need}: {pinned.get(need.name.lower())}"
        for need in wanted(*extras)
        if need.name.lower() not in pinned or pinned[need.name.lower()] not in need.specifier
    ]
    assert not wrong, f"run `make lock`: {wrong}"


@both
def test_every_line_of_a_lock_is_a_pin_a_hash_or_a_comment(lock: Path) -> None:
    """So nothing is fetched without a hash, and no line names where to fetch it from."""
    kinds = [PIN, re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$"), re.compile(r"^\s*#(?!.*://)")]
    assert not [line for line in lock.read_text().splitlines() if not any(kind.match(line) for kind in kinds)]


@both
def test_every_pin_of_a_lock_has_a_hash(lock: Path) -> None:
    lines = lock.read_text().splitlines()
    bare = [
        line for line, after in zip(lines, [*lines[1:], ""], strict=True) if PIN.match(line) and "--hash" not in after
    ]
    assert not bare


def test_what_the_tests_run_with_is_what_users_run_with() -> None:
    assert pins(RUN).items() <= pins(DEV).items()


def test_the_backend_that_builds_the_project_is_the_one_that_is_locked() -> None:
    declared = project()
    assert set(declared["build-system"]["requires"]) <= set(declared["dependency-groups"]["build"])
