"""The command line: arguments and environment to a command; whatever goes wrong to one message and an exit code."""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from pipeline import streams
from pipeline.cli import grammar, show
from pipeline.commands.registry import find
from pipeline.errors import PipelineError, StopRun
from pipeline.exit_codes import ExitCode
from pipeline.text import printable

DEBUG_VARIABLE = "PIPELINE_DEBUG"
"""Set, it lets a mistake of the program's own end with its traceback."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments, without the program's name; the process's own by default.

    Returns:
        The exit code, one of `ExitCode`; it holds whether or not anything that was said could be heard.
    """
    streams.prepare()
    return streams.finish(_outcome(sys.argv[1:] if argv is None else list(argv)))


def _outcome(argv: list[str]) -> int:
    as_json, log_as_json = "--json" in argv, False
    try:
        arguments = grammar.parse(argv)
        log_as_json = getattr(arguments, "log_format", "text") == "json"
        report = find(arguments.command).run(arguments, os.environ)
        show.report(report, as_json=getattr(arguments, "json", False))
    except SystemExit as stop:  # after --help and --version
        return int(stop.code or 0)
    except StopRun as error:
        show.refusal(error, as_json=as_json, log_as_json=log_as_json)
        return error.exit_code
    except PipelineError as error:
        streams.say(f"error: {error}")
        return ExitCode.INCOMPLETE
    except KeyboardInterrupt:
        streams.say("interrupted")
        return ExitCode.INTERRUPTED
    except ModuleNotFoundError as error:
        return _missing(error)
    except OSError as error:
        streams.say(f"error: {printable(str(error.filename or ''))}: {error.strerror}")
        return ExitCode.STORAGE_FAILED
    except Exception as error:
        return _bug(error)
    return report.exit_code


def _missing(error: ModuleNotFoundError) -> int:
    """Say that a package is not installed for this Python."""
    missing = error.name or "pipeline"
    if missing.partition(".")[0] == "pipeline":
        return _bug(error)
    streams.say(
        f"error: the Python at {sys.executable} has no {missing}: use the one that `make run` sets up "
        "(.venv/bin/python), or install this program for it (-m pip install .)"
    )
    return ExitCode.WRONG_INPUT


def _bug(error: Exception) -> int:
    """Say that this program has a mistake; its traceback only where someone asks for it.

    The text of a foreign exception may hold anything, so only its type is told.
    """
    if os.environ.get(DEBUG_VARIABLE):
        raise error
    calls = traceback.extract_tb(error.__traceback__)
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
        calls += traceback.extract_tb(error.__traceback__)
    where = f"{Path(calls[-1].filename).name}:{calls[-1].lineno}"
    streams.say(
        f"error: this is a mistake in the program ({type(error).__name__} at {where}); please report it with the "
        f"traceback that {DEBUG_VARIABLE}=1 shows. What was paid for is recorded, and the next run goes on from it."
    )
    return ExitCode.INCOMPLETE
