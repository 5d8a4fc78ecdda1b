"""What answers of many megabytes take of memory, in a process of its own."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest
from aiohttp import web

from tests.run.upstream import serving

RUN = """
import sys
from pipeline.cli.main import main
from tests.peak import peak
try:
    code = main(["run", sys.argv[1], "--quiet"])
except SystemExit as end:
    code = end.code
print(code, peak(), file=sys.stderr)
"""

BODIES = {
    "tiny entries": b'{"data": [' + b'{"b64_json": "QQ=="},' * 1_000_000 + b"{}]}",
    "digits": b'{"data": ' + b"9" * 40_000_000 + b"}",
    "spaces": b'{"data": [' + b" " * 40_000_000 + b"]}",
    "one picture": b'{"data": [{"b64_json": "' + b"QUFB" * 10_000_000 + b'"}]}',
}


@pytest.mark.parametrize("kind", BODIES)
async def test_large_answers_of_every_kind_stay_within_150_mb(tmp_path: Path, kind: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=BODIES[kind], content_type="application/json")

    async with serving(answer) as base:
        path = tmp_path / "job.yaml"
        limits = {"concurrency": 1, "downloads": 1, "billing_lag": 0, "requests_per_minute": 6000}
        job = {"endpoint": base, "output": str(tmp_path / "out"), "model": "acme/x", "limits": limits}
        path.write_text(json.dumps(job | {"prompts": [f"Fox {n}" for n in range(4)]}))
        command = [sys.executable, "-c", RUN, str(path)]
        run = partial(subprocess.run, command, capture_output=True, text=True, env={**os.environ, "AIML_API_KEY": "k"})
        done = await anyio.to_thread.run_sync(run)
    code, peak = done.stderr.split()[-2:]
    print(kind, peak)
    assert code == "1"
    assert int(peak) < 150_000_000
