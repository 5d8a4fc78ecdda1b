"""A run of the shop's job as a process of its own, which ends by `kill -9` at a moment of its own choosing.

As a script: `python -m tests.state_machine.killed KIND NUMBER COMMAND ...` is the program, and kills itself there.
"""

import json
import os
import signal
import sys
from functools import partial
from typing import Any
from unittest.mock import patch

import anyio

from pipeline import Summary
from pipeline.cli.main import main
from pipeline.run import session
from tests.policies import QUICK
from tests.state_machine.night import Moment, Moments, Night, Result, limits
from tests.state_machine.shop import KEY, Shop


async def run_killed(shop: Shop, night: Night) -> Result:
    """Run the job until its moment; where that does not come, it ends by itself."""
    assert night.kill is not None
    shop.limits = {name: value for name, value in limits(night).items() if value is not None}
    shop.write()
    moments, kill = Moments(), night.kill
    with moments.watching():
        async with await anyio.open_process(command(shop, night, kill), env=environment()) as process:
            if kill.kind == "post":
                moments.at(kill, process.kill)
            out = b"".join([part async for part in process.stdout]) if process.stdout else b""
            code = await process.wait()
    shop.limits = {}
    shop.write()
    if code == -signal.SIGKILL:
        return Result()
    if code == 2:
        return Result(refused=True)
    known = json.loads(out)
    return Result(Summary(**{name: known[name] for name in ("job", "endpoint", "output", "manifest")}, **_of(known)))


def _of(known: dict[str, Any]) -> dict[str, Any]:
    return {name: known[name] for name in ("images", "saved", "made", "exit_code", "reason")}


def command(shop: Shop, night: Night, kill: Moment) -> list[str]:
    """The command line of a night."""
    selection = night.selection
    words = [sys.executable, "-m", "tests.state_machine.killed", kill.kind, str(kill.number), "run", str(shop.job)]
    words += [word for pattern in selection.only for word in ("--only", pattern)]
    words += ["--limit", str(selection.limit)] if selection.limit else []
    words += ["--force"] * selection.force + ["--retry-failed"] * selection.retry_failed
    return [*words, "--json"]


def environment() -> dict[str, str]:
    return {**os.environ, "AIML_API_KEY": KEY, "PYTHONWARNINGS": "error"}


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    kind, number, *arguments = sys.argv[1:]
    inside = Moments()
    if kind in ("commit", "record"):
        inside.at(Moment("commit", int(number)), _kill)
    with patch.object(session, "run", partial(session.run, policy=QUICK)), inside.watching():
        sys.exit(main(arguments))
