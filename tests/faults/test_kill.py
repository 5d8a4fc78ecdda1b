"""kill -9 at random moments, and the next run: `make soak` does it a thousand times."""

import json
import random
import subprocess
from pathlib import Path

import pytest

from pipeline.manifest import file as manifest
from pipeline.output.local import inspect
from tests.faults.program import attempts, billed, rows, run, sandbox, start, write_job
from tests.faults.scale import count

ITEMS = 120
GROUPS = 4
KILLS = count(25, 250)
"""In each group, a hundred together; on an output folder of its own."""


@pytest.mark.timeout(count(300, 3600))
@pytest.mark.parametrize("group", range(GROUPS))
def test_a_kill_costs_no_more_than_what_was_open_and_every_cent_is_named(tmp_path: Path, group: int) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}, group {group}")
    moments = random.Random(seed)
    output, state, open_intents = tmp_path / "out", tmp_path / "sandbox", 0
    with sandbox(state, "--latency", "0.05", "--latency-jitter", "0.05") as base:
        job = write_job(tmp_path, base, ITEMS * count(1, 10), retry_paid_budget_usd=10_000)
        for _ in range(KILLS):
            process = start("run", job)
            try:
                process.communicate(timeout=moments.uniform(0.3, 1.2))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                open_intents += len(attempts(output, "intent"))
        last = run("run", job, "--json")
        assert last.returncode == 0, last.stderr
        audited = run("audit", job, "--json")
        assert audited.returncode == 0, audited.stdout
        status = json.loads(run("status", output, "--json").stdout)
    _assert_paid_once(output)
    bills = billed(state)
    assert set(bills.values()) <= {1}, "an attempt id was sent twice"
    assert set(bills) == attempts(output, "paid") | attempts(output, "lost"), "the report is not the truth"
    assert {lost["client_request_id"] for lost in status["lost"]} == attempts(output, "lost")
    assert len(attempts(output, "lost")) <= open_intents, "a kill cost more than what was open"
    assert json.loads(audited.stdout)["balanced"]
    _assert_whole(output)


def _assert_paid_once(output: Path) -> None:
    query = "SELECT key, state FROM attempts ORDER BY seq"
    paid: set[str] = set()
    for key, became in rows(output / ".pipeline" / "ledger.db", query):
        assert key not in paid, "an item was asked for again after its answer had arrived"
        if became == "paid":
            paid.add(key)
    assert len(paid) == ITEMS * count(1, 10)


def _assert_whole(output: Path) -> None:
    records = [record for _, record in manifest.read(output / "manifest.jsonl")]
    assert len(records) == 2 * ITEMS * count(1, 10)
    names = {manifest.NAME, ".pipeline"}
    for record in records:
        assert record is not None
        assert record.path is not None
        assert record.bytes is not None
        assert record.sha256 is not None
        assert inspect(output, record.path, bytes=record.bytes, sha256=record.sha256, mtime_ns=None) == "sound"
        names.add(record.path)
    assert {path.name for path in output.iterdir()} == names, "something was left behind"
