"""The house stands: which room may import which, and which may import what from outside.

A room is a top-level module or package of `pipeline`. It imports from the layers below its own only, wherever the
import stands: at the top, inside a function, or under TYPE_CHECKING. Rooms of one layer never import each other, nor do
the modules of the rooms in SIBLINGS: a command, a provider or a listener is added as one file, and taken away as one.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import pipeline

HOUSE = Path(pipeline.__file__).parent

LAYERS = {
    "words": {"clock", "exit_codes", "generated", "model", "text", "version"},
    "errors": {"errors", "events"},
    "outside": {"picture", "proxies", "regular_files", "streams"},
    "settings": {"settings"},
    "means": {"http", "ledger", "limits"},
    "providers": {"providers"},
    "manifest": {"manifest"},
    "output": {"output"},
    "download": {"download"},
    "plan": {"plan"},
    "job": {"job"},
    "report": {"report"},
    "listeners": {"listeners"},
    "run": {"run"},
    "inspection": {"inspection"},
    "arguments": {"arguments"},
    "commands": {"commands"},
    "cli": {"cli"},
    "program": {"__init__", "__main__"},
}
"""Each layer with its rooms, from the one that all may use up to the one that uses all."""

HEIGHT = {room: height for height, rooms in enumerate(LAYERS.values()) for room in rooms}

SIBLINGS = ("commands", "listeners", "providers")
"""Rooms whose parts never import each other: a part is a package in them, or a module where they have no packages."""

CONTRACTS = ("contract", "registry")
"""What the parts of a room have in common, and what lists them."""

EXCEPTIONS = {
    ("model", "generated"),  # a claim holds a picture as the answer gave it; `generated` itself imports nothing
    ("model", "plan"),  # a job holds what it wants, and is a word of the house; for the type alone
}
"""Imports, as (room, room), that go sideways or up all the same, each with its reason."""

FOREIGN = {
    "aiohttp": {"http", "providers", "download"},
    "anyio": None,  # anywhere
    "PIL": {"picture"},
    "sandbox": {"run", "commands"},
    "pydantic": {"job"},
    "pydantic_core": {"job"},
    "sqlite3": {"ledger", "plan"},
    "tenacity": {"limits"},
    "tqdm": {"listeners"},
    "yaml": {"job"},
    "yarl": {"download", "http"},  # the type of aiohttp's URLs
}
"""The rooms that may import each foreign library, and sqlite3."""


@dataclass(frozen=True)
class Import:
    """One import: where it stands, and what it names."""

    file: Path
    line: int
    name: str

    @property
    def room(self) -> str:
        return room_of(self.file)

    def __str__(self) -> str:
        return f"{self.file.relative_to(HOUSE.parent)}:{self.line} imports {self.name}"


def room_of(file: Path) -> str:
    return file.relative_to(HOUSE).parts[0].removesuffix(".py")


def files() -> list[Path]:
    return sorted(file for file in HOUSE.rglob("*.py"))


def imports(file: Path) -> Iterator[Import]:
    """Every import of a file, at any depth, by its full name."""
    package = file.relative_to(HOUSE.parent).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *((node.module,) if node.module else ())))
            for alias in node.names:
                yield Import(file, node.lineno, f"{module}.{alias.name}")


ALL = [found for file in files() for found in imports(file)]


def rooms_named(found: Import) -> set[str]:
    """The room of ours that an import names, if it names one."""
    first, _, rest = found.name.partition(".")
    if first != "pipeline":
        return set()
    room = rest.partition(".")[0]
    # `from pipeline import x` and `import pipeline` reach into the top layer unless x is a room.
    return {room if room in HEIGHT else "__init__"}


def parts_named(found: Import) -> set[str]:
    """The part of its own room that an import names, if it names another than the one where it stands."""
    own = found.file.relative_to(HOUSE).with_suffix("").parts
    named = found.name.split(".")
    if len(own) < 2 or named[:2] != ["pipeline", own[0]] or len(named) < 3 or named[2] == own[1]:
        return set()
    if own[1] in CONTRACTS or named[2] in CONTRACTS:
        return set()
    parts = {file.stem for file in (HOUSE / own[0]).iterdir() if file.is_dir() or file.suffix == ".py"}
    packages = {file.name for file in (HOUSE / own[0]).iterdir() if (file / "__init__.py").exists()}
    return {named[2]} & (packages or parts)


def test_every_room_has_its_layer_and_every_layer_its_rooms() -> None:
    assert {room_of(file) for file in files()} == set(HEIGHT)
    assert len(HEIGHT) == sum(len(rooms) for rooms in LAYERS.values())


def test_the_imports_are_all_seen() -> None:
    """Imports under TYPE_CHECKING and inside functions are among those that the other tests look at."""
    assert len(ALL) > 150
    outside = {
        (file, node.lineno)
        for file in files()
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    inside = {str(found) for found in ALL if (found.file, found.line) not in outside}
    assert any("pipeline/commands/" in text for text in inside)


def test_no_class_has_the_name_of_another() -> None:
    names = [
        node.name
        for file in files()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    assert not {name for name in names if names.count(name) > 1}


def test_a_room_imports_from_lower_layers_only() -> None:
    wrong = [
        found
        for found in ALL
        for room in rooms_named(found)
        if room != found.room and HEIGHT[room] >= HEIGHT[found.room] and (found.room, room) not in EXCEPTIONS
    ]
    assert not wrong, "\n".join(map(str, wrong))


def test_siblings_do_not_import_each_other() -> None:
    wrong = [found for found in ALL if found.room in SIBLINGS and parts_named(found)]
    assert not wrong, "\n".join(map(str, wrong))


def test_no_module_has_the_name_of_another() -> None:
    stems = [file.stem for file in files() if file.stem not in ("__init__", "__main__")]
    assert not {stem for stem in stems if stems.count(stem) > 1}


def test_every_exception_is_still_needed() -> None:
    assert {(found.room, room) for found in ALL for room in rooms_named(found)} >= EXCEPTIONS


def test_each_foreign_library_stays_in_its_rooms() -> None:
    wrong = []
    for found in ALL:
        library = found.name.partition(".")[0]
        if library == "pipeline" or (library in sys.stdlib_module_names and library not in FOREIGN):
            continue
        allowed = FOREIGN.get(library, set())
        if allowed is not None and found.room not in allowed:
            wrong.append(found)
    assert not wrong, "\n".join(map(str, wrong))


def test_no_room_is_a_drawer_for_everything() -> None:
    names = {part.removesuffix(".py") for file in files() for part in file.relative_to(HOUSE).parts}
    assert not names & {"utils", "util", "common", "helpers", "helper", "base", "misc", "tools"}


def test_tasks_live_in_task_groups_only() -> None:
    wrong = [
        f"{file.relative_to(HOUSE.parent)}:{number}"
        for file in files()
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if re.search(r"\b(create_task|ensure_future)\(|\bgather\(", line)
    ]
    assert not wrong, "\n".join(wrong)


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after this code."""
    report = "\nimport sys\nprint('\\n'.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_python_without_the_packages_is_told_which_one_has_them() -> None:
    command = [sys.executable, "-S", "-m", "pipeline", "plan", "job.yaml"]
    done = subprocess.run(command, cwd=HOUSE.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(r"error: the Python at .* has no \w+: use the one that `make run` sets up .*\n", done.stderr)


HELP = """
import contextlib, io, runpy, sys
sys.argv = ["pipeline", "--help"]
with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
    runpy.run_module("pipeline", run_name="__main__")
assert "usage" in shown.getvalue()
"""


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        (HELP, {"aiohttp", "PIL", "tenacity", "tqdm", "pydantic", "yaml", "sqlite3", "asyncio"}),
        ("import pipeline", {"aiohttp", "PIL", "tenacity", "tqdm", "pydantic", "yaml", "sqlite3", "anyio"}),
        ("import pipeline.run.session", {"aiohttp", "PIL", "tenacity", "tqdm"}),
        ("import pipeline.inspection.forecast", {"aiohttp", "PIL", "tenacity", "tqdm"}),
        ("import pipeline.inspection.standing", {"aiohttp", "PIL", "tenacity", "tqdm"}),
        ("import pipeline.inspection.verification", {"aiohttp", "PIL", "tenacity", "tqdm"}),
    ],
    ids=["--help", "import pipeline", "run", "plan", "status", "verify"],
)
def test_what_needs_no_network_loads_none(code: str, unwanted: set[str]) -> None:
    assert not loaded_by(code) & unwanted
