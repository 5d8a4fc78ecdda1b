"""A manifest or a ledger that somebody has edited, cut or put back: nothing is paid for anew on its word."""

from pathlib import Path

import pytest

from tests.test_streams import shell

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the tools of Linux")


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(f"endpoint: sandbox\noutput: {tmp_path / 'out'}\nprompts: [cat, fox]\n")
    return path


@pytest.mark.parametrize(
    "change",
    [
        's/"bytes":[0-9]*/"bytes":"x"/',
        's/"index":0/"index":[]/',
        's/"path":"[^"]*"/"path":true/',
        's/"usd":[0-9.]*/"usd":NaN/',
    ],
)
def test_an_edited_line_of_a_manifest_is_a_broken_one(job: Path, change: str) -> None:
    assert shell("RUN run JOB --quiet", job).returncode == 0
    manifest = job.parent / "out" / "manifest.jsonl"
    for verb, code in (("status", 0), ("verify", 1)):
        done = shell(f"sed -i '{change}' {manifest}; RUN {verb} JOB", job)
        assert done.returncode == code, done.stderr
        assert b"2 lines can't be read" in done.stdout
        assert b"mistake" not in done.stderr


@pytest.mark.parametrize("lost", ["rm LEDGER-wal LEDGER-shm; : > LEDGER", "truncate -s 1 LEDGER"])
def test_a_ledger_that_has_lost_what_the_manifest_speaks_of_is_no_reason_to_pay_again(job: Path, lost: str) -> None:
    assert shell("RUN run JOB --quiet", job).returncode == 0
    ledger = job.parent / "out" / ".pipeline" / "ledger.db"
    done = shell(f"{lost.replace('LEDGER', str(ledger))} 2>/dev/null; RUN run JOB", job)
    assert done.returncode == 6, done.stdout
    assert b"ledger" in done.stderr


def test_an_older_copy_of_a_ledger_is_no_reason_to_pay_again(job: Path) -> None:
    ledger = job.parent / "out" / ".pipeline" / "ledger.db"
    assert shell("RUN run JOB --quiet --only cat*", job).returncode == 0
    older = ledger.read_bytes()
    assert shell("RUN run JOB --quiet", job).returncode == 0
    ledger.write_bytes(older)
    done = shell("RUN run JOB", job)
    assert done.returncode == 6, done.stdout
    assert b"does not know" in done.stderr
