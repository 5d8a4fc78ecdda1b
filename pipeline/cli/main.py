"""The command line: arguments and environment to a command; whatever goes wrong to one message and an exit code."""

import argparse
import gc
import json
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import arguments as grammar
from pipeline import streams
from pipeline.arguments import EXIT_CODES, WrongArguments, parser
from pipeline.errors import PipelineError, Problem, StopRun, UsageError
from pipeline.text import printable

if TYPE_CHECKING:
    from pipeline.model import Job
    from pipeline.plan.decision import Selection
    from pipeline.report.failures import Failure
    from pipeline.report.summary import Summary

__all__ = ["EXIT_CODES", "main", "parser"]

PROBLEMS_SHOWN = 50

DEBUG_VARIABLE = "PIPELINE_DEBUG"
"""Set, it lets a mistake of the program's own end with its traceback."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments, without the program's name; the process's own by default.

    Returns:
        The exit code, one of `EXIT_CODES`; it holds whether or not anything that was said could be heard.
    """
    streams.prepare()
    return streams.finish(_outcome(sys.argv[1:] if argv is None else list(argv)))


def _outcome(argv: list[str]) -> int:
    as_json, log_as_json = "--json" in argv, False
    try:
        arguments = grammar.parse(argv)
        log_as_json = getattr(arguments, "log_format", "text") == "json"
        return _COMMANDS[arguments.command](arguments)
    except SystemExit as stop:  # after --help and --version
        return int(stop.code or 0)
    except StopRun as error:
        _tell(error, as_json=as_json, log_as_json=log_as_json)
        return error.exit_code
    except PipelineError as error:
        streams.say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        streams.say("interrupted")
        return 130
    except ModuleNotFoundError as error:
        return _missing(error)
    except OSError as error:
        streams.say(f"error: {printable(str(error.filename or ''))}: {error.strerror}")
        return 6
    except Exception as error:
        return _bug(error)


def _run(arguments: argparse.Namespace) -> int:
    summary = _unchanged(arguments) or _made(arguments)
    failed = sum(summary.selected_failed.values())
    retry = _retry(arguments, summary.failures, failed) if failed else ""
    # Where it can't be heard, what the run came to stands all the same.
    if arguments.json:
        streams.out(json.dumps(summary.as_dict()), needed=False)
    elif not arguments.quiet:
        streams.out("\n".join(summary.lines(retry)), needed=False)
    streams.flush(needed=False)
    if arguments.log_format == "json":
        return summary.exit_code
    if arguments.quiet and (trouble := summary.trouble(retry)):
        streams.say("\n".join(trouble))
    if summary.reason:
        streams.say(f"error: {printable(summary.reason)}")
    return summary.exit_code


def _retry(arguments: argparse.Namespace, failures: Sequence["Failure"] = (), failed: int = 0) -> str:
    """The command that asks again for what has failed for good, as a shell takes it.

    Of a run that was about a part of the job, it is about those of `failures`, if that is all that `failed`.
    """
    words = [*grammar.invocation(), "run", str(arguments.job)]
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


def _unchanged(arguments: argparse.Namespace) -> "Summary | None":
    """What a run without anything to do comes to; None where something may have to be done."""
    if arguments.only or arguments.limit or arguments.force or arguments.retry_failed or arguments.placeholders:
        return None
    from pipeline.run.up_to_date import RunRequest, unchanged

    return unchanged(RunRequest(arguments.job, arguments.endpoint, arguments.output), os.environ)


def _made(arguments: argparse.Namespace) -> "Summary":
    from pipeline.commands.run import run
    from pipeline.listeners.json_lines import JsonLines
    from pipeline.listeners.progress import Progress, mode_for

    job = _load(arguments, _limits(arguments))
    as_json = arguments.log_format == "json"
    mode = mode_for(sys.stderr, quiet=arguments.quiet or as_json)
    return run(
        job,
        selection=_selection(arguments),
        progress=lambda total: Progress(total, mode=mode),
        listeners=[JsonLines(sys.stderr)] if as_json else [],
    )


def _plan(arguments: argparse.Namespace) -> int:
    from pipeline.commands.plan import Plan, decision_dict, decision_lines, plan

    job = _load(arguments, _limits(arguments))
    items: list[dict[str, Any]] = []
    for step in plan(job, os.environ, _selection(arguments)):
        if isinstance(step, Plan):
            _report(arguments, {**step.as_dict(), "items": items} if arguments.json else {}, step.lines())
        elif arguments.json:
            items.append(decision_dict(step))
        elif not all(map(streams.out, decision_lines(step))):
            break
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from pipeline.commands.status import status

    found = status(_source(arguments))
    retry = "run JOB --retry-failed" if arguments.job.is_dir() else _retry(arguments)
    _report(arguments, found.as_dict(), found.lines(retry))
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from pipeline.commands.verify import verify

    found = verify(_source(arguments), decode=arguments.decode)
    _report(arguments, found.as_dict(), found.lines())
    return 0 if found.sound else 1


def _audit(arguments: argparse.Namespace) -> int:
    from pipeline.commands.audit import audit

    found = audit(_load(arguments, {}), os.environ)
    _report(arguments, found.as_dict(), found.lines())
    return 0 if found.balanced else 1


def _manifest(arguments: argparse.Namespace) -> int:
    from pipeline.commands.rebuild import rebuild, show

    job = _load(arguments, {})
    if not arguments.rebuild:
        show(job)
        return 0
    found = rebuild(job)
    _report(arguments, found.as_dict(), found.lines())
    return 0


def _report(arguments: argparse.Namespace, found: Mapping[str, Any], lines: Iterable[str]) -> None:
    """Print what a command found: for programs or for people."""
    streams.out(json.dumps(found) if arguments.json else "\n".join(lines))


def _sandbox(arguments: argparse.Namespace) -> int:
    from pipeline.commands.sandbox import serve

    return serve(arguments)


def _load(arguments: argparse.Namespace, limits: Mapping[str, Any]) -> "Job":
    from pipeline.job import load

    # What is imported by now stays, and neither a job nor a run makes anything that refers to itself: the collector
    # need hardly look. With its own thresholds it takes a third of the time that a long job takes to read.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    endpoint = getattr(arguments, "endpoint", None)
    job = load(arguments.job, endpoint=endpoint, output=arguments.output, limits=limits)
    if getattr(arguments, "log_format", "text") == "json":
        from pipeline.events import JobNoted
        from pipeline.listeners.json_lines import JsonLines

        log = JsonLines(sys.stderr)
        for note in job.notes:
            log(JobNoted(note))
    elif not getattr(arguments, "quiet", False):
        for note in job.notes:
            streams.say(f"note: {printable(note)}")
    return job


def _source(arguments: argparse.Namespace) -> "Job | Path":
    """What `status` and `verify` are about: a job, or an output folder alone."""
    if arguments.job.is_dir():
        return Path(arguments.output or arguments.job)
    return _load(arguments, {})


def _limits(arguments: argparse.Namespace) -> dict[str, Any]:
    """The limits that the command line gives in place of the job's."""
    names = ("concurrency", "requests_per_minute", "budget_tokens", "budget_usd")
    given = {name: getattr(arguments, name, None) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def _selection(arguments: argparse.Namespace) -> "Selection":
    from pipeline.plan.decision import Selection

    return Selection(
        only=tuple(arguments.only),
        limit=arguments.limit,
        force=arguments.force,
        retry_failed=arguments.retry_failed,
        placeholders=arguments.placeholders,
    )


def _missing(error: ModuleNotFoundError) -> int:
    """Say that a package is not installed for this Python."""
    missing = error.name or "pipeline"
    if missing.partition(".")[0] == "pipeline":
        return _bug(error)
    streams.say(
        f"error: the Python at {sys.executable} has no {missing}: use the one that `make run` sets up "
        "(.venv/bin/python), or install this program for it (-m pip install .)"
    )
    return 2


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
    return 1


def _tell(error: StopRun, *, as_json: bool, log_as_json: bool) -> None:
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


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "plan": _plan,
    "status": _status,
    "verify": _verify,
    "audit": _audit,
    "manifest": _manifest,
    "sandbox": _sandbox,
}
