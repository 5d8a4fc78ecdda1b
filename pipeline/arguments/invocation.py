"""How this program is called: for the messages that tell a person what to type."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.report.failures import Failure

SCRIPT = "image-pipeline"
"""What the installed program is called."""


def program() -> str:
    """The program as it was called: `image-pipeline`, or `python -m pipeline`."""
    name = Path(sys.argv[0]).stem if sys.argv else ""
    return SCRIPT if name.startswith(SCRIPT) else "python -m pipeline"


def invocation() -> list[str]:
    """The words that call this program from where the user stands, also where its Python is not the shell's own."""
    import shutil

    path = Path(sys.argv[0] if program() == SCRIPT else sys.executable)
    known = shutil.which(path.name)
    if known and Path(known) == path:
        word = path.name
    elif path.is_relative_to(Path.cwd()):
        word = str(path.relative_to(Path.cwd()))
    else:
        word = str(path)
    return [word] if program() == SCRIPT else [word, "-m", "pipeline"]


def retry_command(arguments: argparse.Namespace, failures: Sequence["Failure"] = (), failed: int = 0) -> str:
    """The command that asks again for what has failed for good, as a shell takes it.

    Of a run that was about a part of the job, it is about those of `failures`, if that is all that `failed`.
    """
    words = [*invocation(), "run", str(arguments.job)]
    for name in ("endpoint", "output"):
        value = getattr(arguments, name, None)
        words += [] if value is None else [f"--{name}", str(value)]
    only, limit = getattr(arguments, "only", []), getattr(arguments, "limit", None)
    if (only or limit) and failed == len(failures):
        only, limit = list(dict.fromkeys(failure.id for failure in failures)), None
    for pattern in only:
        words += ["--only", pattern]
    words += ["--limit", str(limit)] if limit else []
    return shlex.join([*words, "--retry-failed"])
