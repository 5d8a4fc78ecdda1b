"""The command line: arguments and environment to a command; whatever goes wrong to one message and an exit code."""

import argparse
import gc
import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pipeline.errors import PipelineError, StopRun, UsageError
from pipeline.text import printable
from pipeline.version import __version__

if TYPE_CHECKING:
    from pipeline.commands.summary import Summary
    from pipeline.model import Job
    from pipeline.plan import Selection

EXIT_CODES = """\
exit codes:
  0    every image is there, or all that --only and --limit chose; `plan`, `status`: it was told
  1    some items failed, `verify` found a file that is not sound, or `audit` a difference
  2    the job or the command line is wrong; nothing was sent
  3    no key, or the key or the account was refused
  5    the provider is unavailable; the next run goes on from here
  6    local storage: disk full, not writable, a broken ledger, something that is not a file in the place
       of one, or a folder moved or removed during the run
  7    the budget is reached
  8    paid answers in a row brought no usable picture: nothing more was asked for
  11   another run holds the output folder
  129  stopped by SIGHUP, as when its terminal is closed; the next run goes on from here
  130  stopped by Ctrl-C (SIGINT); the next run goes on from here
  131  stopped by SIGQUIT; the next run goes on from here
  143  stopped by SIGTERM; the next run goes on from here
"""

PROBLEMS_SHOWN = 50

DEBUG_VARIABLE = "PIPELINE_DEBUG"
"""Set, it lets a mistake of the program's own end with its traceback."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments, without the program's name; the process's own by default.

    Returns:
        The exit code, one of `EXIT_CODES`.
    """
    _mend_streams()
    arguments = parser().parse_args(argv)
    try:
        command: Callable[[argparse.Namespace], int] = arguments.command
        return command(arguments)
    except StopRun as error:
        with suppress(OSError):
            _tell(error, as_json=getattr(arguments, "json", False))
            sys.stdout.flush()
        return error.exit_code
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not complain about that at exit.
        _leave(sys.stdout)
        return 1
    except OSError as error:
        print(f"error: standard output can't be written: {error.strerror}", file=sys.stderr)
        _leave(sys.stdout)
        return 6
    except Exception as error:
        return _bug(error)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="python -m pipeline",
        description="The build system for generated images: make only what is missing, pay once.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _run_parser(commands)
    _plan_parser(commands)
    _status_parser(commands)
    _verify_parser(commands)
    _audit_parser(commands)
    _manifest_parser(commands)
    _sandbox_parser(commands)
    return top


def _add(commands: Any, name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(command=command)
    return made


def _run_parser(commands: Any) -> None:
    made = _add(commands, "run", _run, "make the images that are missing or changed, and nothing else")
    _job_options(made)
    _selection_options(made)
    made.add_argument("--concurrency", type=_positive, metavar="N", help="requests in flight at once, at most")
    made.add_argument("--requests-per-minute", type=float, metavar="N", help="requests sent in a minute, at most")
    made.add_argument("--budget-tokens", type=_positive, metavar="N", help="tokens this run may spend")
    made.add_argument("--budget-usd", type=float, metavar="N", help="the same in US dollars")
    made.add_argument("--quiet", action="store_true", help="say nothing but errors")


def _plan_parser(commands: Any) -> None:
    made = _add(commands, "plan", _plan, "show what a run would make, why, and what it would cost; sends nothing")
    _job_options(made)
    _selection_options(made)


def _status_parser(commands: Any) -> None:
    made = _add(commands, "status", _status, "show what the manifest says: counts, tokens, dollars, failures by cause")
    _folder_options(made)


def _verify_parser(commands: Any) -> None:
    made = _add(commands, "verify", _verify, "read every file and hold it against the manifest")
    _folder_options(made)


def _audit_parser(commands: Any) -> None:
    made = _add(commands, "audit", _audit, "hold the ledger against the vendor's log, attempt by attempt")
    _job_options(made)


def _manifest_parser(commands: Any) -> None:
    made = _add(commands, "manifest", _manifest, "print the manifest as the ledger has it, or write it anew")
    _job_options(made)
    made.add_argument("--rebuild", action="store_true", help="write manifest.jsonl anew from the ledger")


def _job_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("job", type=Path, metavar="JOB", help="the job file, such as jobs/catalog.yaml")
    made.add_argument("--endpoint", metavar="E", help="aimlapi, sandbox, or a base URL; replaces the job's own")
    made.add_argument("--output", type=_folder, metavar="DIR", help="the output folder; replaces the job's own")
    made.add_argument("--json", action="store_true", help="print JSON, as the only thing on standard output")


def _folder_options(made: argparse.ArgumentParser) -> None:
    made.add_argument("job", type=Path, metavar="JOB", help="the job file, or its output folder")
    made.add_argument("--output", type=_folder, metavar="DIR", help="the output folder; replaces the job's own")
    made.add_argument("--json", action="store_true", help="print JSON, as the only thing on standard output")


def _selection_options(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--only", action="append", default=[], metavar="ID-GLOB", help="only items whose id matches; may be repeated"
    )
    made.add_argument("--limit", type=_positive, metavar="N", help="make at most N images")
    made.add_argument("--force", action="store_true", help="make them again even where they are there; costs money")
    made.add_argument("--retry-failed", action="store_true", help="ask again for items that failed for good")
    made.add_argument(
        "--placeholders", action="store_true", help="let the sandbox's pictures take the names of paid ones"
    )


def _sandbox_parser(commands: Any) -> None:
    made = _add(commands, "sandbox", _sandbox, "serve the sandbox: the same API, real pictures, no cost")
    from pipeline.commands.sandbox import add_options

    add_options(made)


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: name a folder (is a variable not set?)")
    return Path(text)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:18])):
        raise argparse.ArgumentTypeError(f"it must be a whole number above 0, found {text!r}")
    return int(text)


def _run(arguments: argparse.Namespace) -> int:
    summary = _unchanged(arguments) or _made(arguments)
    try:
        if arguments.json:
            print(json.dumps(summary.as_dict()), flush=True)
        elif not arguments.quiet:
            print("\n".join(summary.lines()), flush=True)
    except OSError:
        # Nobody listens any more; what the run came to stands all the same.
        _leave(sys.stdout)
    try:
        if summary.reason:
            print(f"error: {summary.reason}", file=sys.stderr)
        sys.stderr.flush()
    except OSError:
        # So has the terminal, which may be why the run was stopped: the exit code stands too.
        _leave(sys.stderr)
    return summary.exit_code


def _unchanged(arguments: argparse.Namespace) -> "Summary | None":
    """What a run without anything to do comes to; None where something may have to be done."""
    if arguments.only or arguments.limit or arguments.force or arguments.retry_failed or arguments.placeholders:
        return None
    from pipeline.commands.unchanged import Asked, unchanged

    return unchanged(Asked(arguments.job, arguments.endpoint, arguments.output), os.environ)


def _made(arguments: argparse.Namespace) -> "Summary":
    from pipeline.commands.run import run
    from pipeline.progress import Progress, mode_for

    limits = {
        name: getattr(arguments, name)
        for name in ("concurrency", "requests_per_minute", "budget_tokens", "budget_usd")
        if getattr(arguments, name) is not None
    }
    job = _load(arguments, limits)
    mode = mode_for(sys.stderr, quiet=arguments.quiet)
    return run(job, selection=_selection(arguments), progress=lambda total: Progress(total, mode=mode))


def _plan(arguments: argparse.Namespace) -> int:
    from pipeline.commands.plan import Plan, decision_dict, decision_lines, plan

    job = _load(arguments, {})
    items: list[dict[str, Any]] = []
    for step in plan(job, os.environ, _selection(arguments)):
        if isinstance(step, Plan):
            print(json.dumps({**step.as_dict(), "items": items}) if arguments.json else "\n".join(step.lines()))
        elif arguments.json:
            items.append(decision_dict(step))
        else:
            for line in decision_lines(step):
                print(line)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from pipeline.commands.status import status

    found = status(_output(arguments))
    print(json.dumps(found.as_dict()) if arguments.json else "\n".join(found.lines()))
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from pipeline.commands.verify import verify

    found = verify(_output(arguments))
    print(json.dumps(found.as_dict()) if arguments.json else "\n".join(found.lines()))
    return 0 if found.sound else 1


def _audit(arguments: argparse.Namespace) -> int:
    from pipeline.commands.audit import audit

    found = audit(_load(arguments, {}), os.environ)
    print(json.dumps(found.as_dict()) if arguments.json else "\n".join(found.lines()))
    return 0 if found.balanced else 1


def _manifest(arguments: argparse.Namespace) -> int:
    from pipeline.commands.rebuild import rebuild, show

    job = _load(arguments, {})
    if not arguments.rebuild:
        show(job)
        return 0
    found = rebuild(job)
    print(json.dumps(found.as_dict()) if arguments.json else "\n".join(found.lines()))
    return 0


def _sandbox(arguments: argparse.Namespace) -> int:
    from pipeline.commands.sandbox import serve

    return serve(arguments)


def _load(arguments: argparse.Namespace, limits: Mapping[str, Any]) -> "Job":
    from pipeline.jobfile import load

    # What is imported by now stays, and neither a job nor a run makes anything that refers to itself: the collector
    # need hardly look. With its own thresholds it takes a third of the time that a long job takes to read.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    return load(arguments.job, endpoint=arguments.endpoint, output=arguments.output, limits=limits)


def _output(arguments: argparse.Namespace) -> Path:
    """The output folder that `status` and `verify` are about: named itself, or by its job."""
    job: Path = arguments.job
    if arguments.output is not None:
        return Path(arguments.output)
    if job.is_dir():
        return job
    from pipeline.jobfile import load

    # What is imported by now stays, and neither a job nor a run makes anything that refers to itself: the collector
    # need hardly look. With its own thresholds it takes a third of the time that a long job takes to read.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    return load(job).output


def _selection(arguments: argparse.Namespace) -> "Selection":
    from pipeline.plan import Selection

    return Selection(
        only=tuple(arguments.only),
        limit=arguments.limit,
        force=arguments.force,
        retry_failed=arguments.retry_failed,
        placeholders=arguments.placeholders,
    )


def _mend_streams() -> None:
    """Let what is said never be the reason why something fails: not a closed stream, not an encoding without a sign."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - to the end of the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _leave(stream: TextIO) -> None:
    """Let Python not complain at exit about what could not be written."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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
    print(
        f"error: this is a mistake in the program ({type(error).__name__} at {where}); please report it with the "
        f"traceback that {DEBUG_VARIABLE}=1 shows. What was paid for is recorded, and the next run goes on from it.",
        file=sys.stderr,
    )
    return 1


def _tell(error: StopRun, *, as_json: bool) -> None:
    """Say what stopped the program: on stderr for people, and with --json on stdout for programs."""
    problems = error.problems if isinstance(error, UsageError) else ()
    print(f"error: {printable(str(error))}", file=sys.stderr)
    for problem in problems[:PROBLEMS_SHOWN]:
        print(f"  {printable(str(problem))}", file=sys.stderr)
    if len(problems) > PROBLEMS_SHOWN:
        print(f"  and {len(problems) - PROBLEMS_SHOWN} more", file=sys.stderr)
    if as_json:
        found = [{"place": str(p.place), "message": p.message, "cure": p.cure} for p in problems]
        print(json.dumps({"exit_code": error.exit_code, "reason": str(error), "problems": found}))
