"""What a command has found, or why it was refused: for people as lines, for programs as JSON."""

import json
import sys
from collections.abc import Sequence

from pipeline import streams
from pipeline.arguments.parser import WrongArguments
from pipeline.commands.contract import Report
from pipeline.errors import Problem, StopRun, UsageError
from pipeline.text import printable

PROBLEMS_SHOWN = 50


def report(found: Report, *, as_json: bool) -> None:
    """Print what a command found, on standard output; what it complains of, on standard error."""
    if as_json:
        streams.out(json.dumps(found.as_dict()), needed=found.needed)
    else:
        for line in found.lines():
            if not (streams.out_bytes(line) if isinstance(line, bytes) else streams.out(line, needed=found.needed)):
                break
    if not found.needed:
        streams.flush(needed=False)
    if found.complaints:
        streams.say("\n".join(found.complaints))


def refusal(error: StopRun, *, as_json: bool, log_as_json: bool) -> None:
    """Say what stopped the program: on stderr for people, and with --json on stdout for programs."""
    problems = error.problems if isinstance(error, UsageError) else ()
    if log_as_json:
        _log(error, problems)
    else:
        _say(error, problems)
    if as_json:
        found = [{"place": str(p.place), "message": p.message, "cure": p.cure} for p in problems]
        reason = {"exit_code": error.exit_code, "reason": str(error), "problems": found}
        streams.out(json.dumps(reason), needed=False)


def _say(error: StopRun, problems: Sequence[Problem]) -> None:
    if isinstance(error, WrongArguments):
        streams.say(f"{error.usage}{error.program}: error: {printable(str(error))}")
    else:
        streams.say(f"error: {printable(str(error))}")
    for problem in problems[:PROBLEMS_SHOWN]:
        streams.say(f"  {printable(str(problem))}")
    if len(problems) > PROBLEMS_SHOWN:
        streams.say(f"  and {len(problems) - PROBLEMS_SHOWN} more")


def _log(error: StopRun, problems: Sequence[Problem]) -> None:
    from pipeline.events import RunRefused
    from pipeline.listeners.json_lines import JsonLines

    JsonLines(sys.stderr)(RunRefused(error.exit_code, str(error), tuple(map(str, problems))))
