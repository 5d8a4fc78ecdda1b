"""kill -9 at random moments, and the next run."""

import json
import random
import subprocess
from pathlib import Path

import pytest

from pipeline import manifest
from pipeline.store import inspect
from tests.nights.program import attempts, billed, rows, run, sandbox, start, write_job

KILLS = 20


@pytest.mark.timeout(150)
def test_twenty_kills_never_bill_an_item_twice_whose_answer_had_arrived(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    output, state = tmp_path / "out", tmp_path / "sandbox"
    named: set[str] = set()
    with sandbox(state, "--latency", "0.05", "--latency-jitter", "0.05") as base:
        job = write_job(tmp_path, base, 120)
        for _ in range(KILLS):
            process = start("run", job, "--json")
            try:
                out, _ = process.communicate(timeout=moments.uniform(0.3, 1.2))
                named |= {maybe["client_request_id"] for maybe in json.loads(out)["maybe_billed"]}
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        last = run("run", job, "--json")
        assert last.returncode == 0, last.stderr
        named |= {maybe["client_request_id"] for maybe in json.loads(last.stdout)["maybe_billed"]}
        status = json.loads(run("status", output, "--json").stdout)
        in_status = {maybe["client_request_id"] for maybe in status["maybe_billed"]}
    _assert_paid_once(output)
    _assert_every_cent_named(output, state, named, in_status)
    _assert_whole(output)


def _assert_paid_once(output: Path) -> None:
    query = "SELECT key, state FROM attempts ORDER BY seq"
    paid: set[str] = set()
    for key, became in rows(output / ".pipeline" / "ledger.db", query):
        assert key not in paid, "an item was asked for again after its answer had arrived"
        if became == "paid":
            paid.add(key)
    assert len(paid) == 120


def _assert_every_cent_named(output: Path, state: Path, named: set[str], in_status: set[str]) -> None:
    bills = billed(state)
    assert set(bills.values()) == {1}, "an attempt id was sent twice"
    maybe = attempts(output, "maybe")
    assert set(bills) <= attempts(output, "paid") | maybe, "something was billed that the ledger does not know"
    # A run that is killed while it prints its summary has told nobody; the ledger still tells whoever asks.
    assert named <= maybe == in_status, "an attempt that may have been billed is named nowhere"


def _assert_whole(output: Path) -> None:
    records = [record for _, record in manifest.read(output / "manifest.jsonl")]
    assert len(records) == 240
    names = {manifest.NAME, ".pipeline"}
    for record in records:
        assert record is not None
        assert record.path is not None
        assert record.bytes is not None
        assert record.sha256 is not None
        assert inspect(output, record.path, bytes=record.bytes, sha256=record.sha256, mtime_ns=None) == "sound"
        names.add(record.path)
    assert {path.name for path in output.iterdir()} == names, "something was left behind"
