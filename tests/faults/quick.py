"""The program without the pauses that it makes out of courtesy: a script, for tests that can't wait for them.

With `PEAK` in the environment, the last line on standard error is the most memory that it ever held, in kB.
"""

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.cli.main import main
from pipeline.run import session
from tests.policies import PROBING


def peak() -> str:
    """The most memory this process has held. Not by `getrusage`, which also counts that of the parent before exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    setattr(session, "run", partial(session.run, policy=replace(PROBING, fresh_patience=0.1)))  # noqa: B010
    code = main(sys.argv[1:])
    if "PEAK" in os.environ:
        print(peak(), file=sys.stderr)
    sys.exit(code)
