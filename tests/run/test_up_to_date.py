"""The short way of a run that has nothing to do: taken only when that is certain."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline import Summary, verify
from pipeline.cli import main
from pipeline.errors import FolderLocked, KeyRefused
from pipeline.ledger import Ledger
from pipeline.output.local import OutputFolder
from pipeline.plan import fingerprint
from pipeline.run.up_to_date import RunRequest, unchanged
from tests.ledger.rows import AT


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job with an included file, all of whose pictures are there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("prompt\nA crow\n")
    path = tmp_path / "site.yaml"
    path.write_text("endpoint: sandbox\noutput: out   # here\nprompts:\n  - A fox\n  - file: rows.csv\n")
    assert main.main(["run", str(path), "--quiet"]) == 0
    return path


def asked(
    job: Path, endpoint: str | None = None, output: str | None = None, environ: Mapping[str, str] | None = None
) -> Summary | None:
    return unchanged(RunRequest(job, endpoint, Path(output) if output else None), environ or {})


def test_a_job_that_has_not_changed_has_nothing_to_do(job: Path) -> None:
    found = asked(job)
    assert found is not None
    assert (found.exit_code, found.images, found.saved, found.made, found.requests) == (0, 2, 2, 0, 0)
    assert (found.job, found.endpoint, found.output) == ("site", "sandbox", "out")
    assert found.manifest == str(Path("out") / "manifest.jsonl")


def pictures() -> list[Path]:
    return sorted(Path("out").glob("*.png"))


def write(name: str, text: str) -> None:
    Path(name).write_text(text)


def link(picture: Path) -> None:
    aside = picture.rename(picture.parent.parent / "aside.png")
    picture.symlink_to(aside)


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


CHANGES: dict[str, Callable[[], object]] = {
    "another prompt": lambda: write("site.yaml", "endpoint: sandbox\noutput: out\nprompts: [A hare]\n"),
    "another row": lambda: write("rows.csv", "prompt\nA hare\n"),
    "a pipe for the rows": lambda: pipe(Path("rows.csv")),
    "a pipe for a picture": lambda: pipe(pictures()[0]),
    "a pipe for the manifest": lambda: pipe(Path("out/manifest.jsonl")),
    "a pipe for the ledger": lambda: pipe(Path("out/.pipeline/ledger.db")),
    "no rows": lambda: Path("rows.csv").unlink(),
    "no job": lambda: Path("site.yaml").unlink(),
    "a picture is gone": lambda: pictures()[0].unlink(),
    "a picture was touched": lambda: os.utime(pictures()[0]),
    "a picture is longer": lambda: pictures()[1].write_bytes(pictures()[1].read_bytes() + b"x"),
    "a picture is a link": lambda: link(pictures()[0]),
    "the manifest is gone": lambda: Path("out/manifest.jsonl").unlink(),
    "the manifest was edited": lambda: Path("out/manifest.jsonl").write_text("{}\n"),
    "the ledger is gone": lambda: Path("out/.pipeline/ledger.db").unlink(),
    "the ledger is kept elsewhere": lambda: write("out/.pipeline/state_dir", "/elsewhere\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_is_not_exactly_as_it_was_is_left_to_the_long_way(job: Path, change: Callable[[], object]) -> None:
    change()
    assert asked(job) is None


@pytest.mark.parametrize(
    "more",
    [{"endpoint": "aimlapi"}, {"output": "elsewhere"}, {"output": "./out"}, {"environ": {"AIML_API_BASE": "http://x"}}],
    ids=str,
)
def test_whatever_else_is_asked_for_is_left_to_the_long_way(job: Path, more: dict[str, Any]) -> None:
    assert asked(job, **more) is None


def test_another_version_of_the_program_takes_the_long_way(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "__version__", "9.9.9")
    assert asked(job) is None


def test_a_run_that_was_killed_takes_the_stamp_with_it(job: Path) -> None:
    with Ledger(Path("out/.pipeline/ledger.db")) as ledger:
        ledger.start_run("killed", AT, "sandbox")
    assert asked(job) is None
    assert main.main(["run", str(job), "--quiet"]) == 0
    assert asked(job) is not None


def test_a_file_that_verify_has_found_wrong_is_read_again(job: Path) -> None:
    picture = pictures()[0]
    before = picture.stat()
    data = bytearray(picture.read_bytes())
    data[-20] ^= 1
    picture.write_bytes(data)
    os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert asked(job) is not None, "a file of the same size and time is taken as unchanged without reading it"
    assert not verify(Path("out")).sound
    assert asked(job) is None


@pytest.mark.parametrize("line", ['output: "out"', "{output: out}", "output: &x out", "output: out\noutput: out"])
def test_an_output_that_is_written_in_another_way_is_read_the_long_way(job: Path, line: str) -> None:
    job.write_text(f"endpoint: sandbox\n{line}\nprompts: [A fox]\n")
    assert asked(job) is None


def test_a_part_of_a_job_leaves_no_stamp(job: Path) -> None:
    job.write_text("endpoint: sandbox\noutput: out\nprompts: [A fox, A hare]\n")
    assert main.main(["run", str(job), "--quiet", "--only", "a-fox*"]) == 0
    assert asked(job) is None


def test_a_run_that_failed_leaves_no_stamp(job: Path) -> None:
    job.write_text("endpoint: http://127.0.0.1:1\noutput: out\nprompts: [A hare]\nlimits: {patience: 0, attempts: 1}\n")
    assert main.main(["run", str(job), "--quiet"]) != 0
    assert asked(job) is None


def test_a_run_that_left_something_to_be_looked_up_leaves_no_stamp(job: Path) -> None:
    with Ledger(Path("out/.pipeline/ledger.db")) as ledger:
        ledger.start_run("earlier", AT, "sandbox")
        ledger._committer.write_now(
            (
                "INSERT INTO attempts (id, run, key, item, model, indexes, state, created_at, settled_at, checks, "
                "next_look) VALUES ('earlier.a', 'earlier', 'k', 'i', 'm', '[0]', 'unbilled', ?, ?, 1, ?)",
                (AT, AT, "9999-01-01T00:00:00.000Z"),
            )
        )
        ledger.end_run("earlier", AT, 0)
    assert main.main(["run", str(job), "--quiet"]) == 0
    assert asked(job) is None, "a charge that was booked late would never be found"
    with Ledger(Path("out/.pipeline/ledger.db")) as ledger:
        ledger._committer.write_now(("UPDATE attempts SET next_look = ?", (AT,)))
    assert main.main(["run", str(job), "--quiet"]) == 0
    assert asked(job) is not None


def test_a_folder_in_use_is_told_as_ever(job: Path) -> None:
    with OutputFolder(Path("out")), pytest.raises(FolderLocked):
        asked(job)


def test_a_missing_key_is_told_as_ever(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger(Path("out/.pipeline/ledger.db")) as ledger:
        facts = json.loads(ledger.stamped() or "")
        facts["summary"]["endpoint"] = "aimlapi"
        ledger.stamp(json.dumps(facts))
    with pytest.raises(KeyRefused):
        asked(job)


MODULES = """
import contextlib, io, sys
from pipeline.cli.main import main
with contextlib.redirect_stdout(io.StringIO()) as shown:
    code = main(["run", "site.yaml"])
print(code, shown.getvalue().splitlines()[0])
print(sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[1:])))
"""


def test_the_short_way_loads_nothing_that_it_does_not_need(job: Path) -> None:
    unwanted = ("aiohttp", "asyncio", "pydantic", "yaml", "tenacity", "tqdm", "PIL")
    done = subprocess.run([sys.executable, "-c", MODULES, *unwanted], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["0 site: 2 of 2 images there (0 made now, 2 unchanged)", "[]"]
