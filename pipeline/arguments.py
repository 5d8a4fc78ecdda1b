"""The grammar of the command line: its commands, their arguments and options, and what is said of wrong ones."""

import argparse
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from pipeline import streams
from pipeline.errors import UsageError
from pipeline.version import __version__

EXIT_CODES = """\
exit codes:
  0    every image is there, or all that --only and --limit chose; `plan`, `status`: the report was printed
  1    some items failed, `verify` found a file or an image missing or damaged, or `audit` a difference
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

SCRIPT = "image-pipeline"
"""What the installed program is called."""

_ELSEWHERE = {"--dry-run": "`plan` shows what a run would make", "--verbose": "`run` without --quiet says all there is"}
"""Options of other programs that people try, and what does the same here."""


class WrongArguments(UsageError):
    """The command line can't be understood.

    Attributes:
        usage: The usage of the command that it was meant for.
        program: That command, as it is called.
    """

    def __init__(self, message: str, usage: str, program: str) -> None:
        super().__init__(message)
        self.usage = usage
        self.program = program


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviated options, and raises instead of ending the process for a wrong one."""

    def __init__(self, *positional: Any, **given: Any) -> None:
        super().__init__(*positional, **{**given, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """Raise `WrongArguments`."""
        raise WrongArguments(message, self.format_usage(), self.prog)

    def refuse_unknown(self, unknown: Sequence[str]) -> NoReturn:
        """Raise `WrongArguments` for words that this command does not know, with what may have been meant."""
        self.error(f"unrecognized arguments: {' '.join(unknown)}{self._hint(unknown)}")

    def _hint(self, unknown: Sequence[str]) -> str:
        name = next((word.partition("=")[0] for word in unknown if word.startswith("-")), None)
        if name is None:
            return ""
        if name in _ELSEWHERE:
            return f" ({_ELSEWHERE[name]})"
        known = sorted({option for action in self._actions for option in action.option_strings if option[:2] == "--"})
        longer = [option for option in known if option.startswith(name) and len(name) > 2]
        near = longer or get_close_matches(name, known, 1, 0.6)
        return f" (did you mean {' or '.join(near)}?)" if near else ""

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse passes over a stream that can't be written, and lets the exit code be 0.
        (streams.say if file is sys.stderr else streams.out)(message.removesuffix("\n"))


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


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Understand a command line; `command` names what it asks for.

    Raises:
        SystemExit: It asked for help or the version, which have been printed.
        WrongArguments: It can't be understood.
    """
    arguments, unknown = parser().parse_known_args(argv)
    if unknown:
        made: Parser = arguments.parser
        made.refuse_unknown(unknown)
    return arguments


def parser() -> Parser:
    """The whole command line."""
    top = Parser(
        prog=program(),
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


def _add(commands: Any, name: str, text: str) -> Parser:
    made: Parser = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(command=name, parser=made)
    return made


def _run_parser(commands: Any) -> None:
    made = _add(commands, "run", "make the images that are missing or changed, and nothing else")
    _job_options(made)
    _selection_options(made)
    made.add_argument("--concurrency", type=_positive, metavar="N", help="requests in flight at once, at most")
    made.add_argument("--requests-per-minute", type=float, metavar="N", help="requests sent in a minute, at most")
    _budget_options(made, "this run may spend")
    made.add_argument("--quiet", action="store_true", help="say nothing but what has failed, on standard error")
    made.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="json: each event of the run as a line of JSON on standard error, in place of the progress",
    )


def _plan_parser(commands: Any) -> None:
    made = _add(commands, "plan", "show what a run would make, why, and what it would cost; sends nothing")
    _job_options(made)
    _selection_options(made)
    _budget_options(made, "the run might spend")


def _status_parser(commands: Any) -> None:
    made = _add(commands, "status", "show what the manifest says: counts, tokens, dollars, failures by cause")
    _folder_options(made)


def _verify_parser(commands: Any) -> None:
    made = _add(commands, "verify", "read every file and compare it with the manifest")
    _folder_options(made)
    made.add_argument(
        "--decode", action="store_true", help="decode every picture too, with Pillow, in a process of its own"
    )


def _audit_parser(commands: Any) -> None:
    _job_options(_add(commands, "audit", "compare the ledger with the vendor's log, attempt by attempt"))


def _manifest_parser(commands: Any) -> None:
    made = _add(commands, "manifest", "print the manifest as the ledger has it, or write it anew")
    _job_options(made)
    made.add_argument("--rebuild", action="store_true", help="write manifest.jsonl anew from the ledger")


def _job_options(made: Parser) -> None:
    made.add_argument("job", type=Path, metavar="JOB", help="the job file, such as jobs/catalog.yaml")
    made.add_argument("--endpoint", metavar="E", help="aimlapi, sandbox, or a base URL; replaces the job's own")
    _output_options(made)


def _folder_options(made: Parser) -> None:
    made.add_argument("job", type=Path, metavar="JOB", help="the job file, or its output folder")
    _output_options(made)


def _output_options(made: Parser) -> None:
    made.add_argument("--output", type=_folder, metavar="DIR", help="the output folder; replaces the job's own")
    made.add_argument("--json", action="store_true", help="print JSON, as the only thing on standard output")


def _selection_options(made: Parser) -> None:
    made.add_argument(
        "--only", action="append", default=[], metavar="ID-GLOB", help="only items whose id matches; may be repeated"
    )
    made.add_argument("--limit", type=_positive, metavar="N", help="make at most N images")
    made.add_argument("--force", action="store_true", help="make them again even where they are there; costs money")
    made.add_argument("--retry-failed", action="store_true", help="ask again for items that failed for good")
    made.add_argument(
        "--placeholders", action="store_true", help="let the sandbox's pictures take the names of paid ones"
    )


def _budget_options(made: Parser, what: str) -> None:
    made.add_argument("--budget-tokens", type=_positive, metavar="N", help=f"tokens that {what}")
    made.add_argument("--budget-usd", type=float, metavar="N", help="the same in US dollars")


def _sandbox_parser(commands: Any) -> None:
    made = _add(commands, "sandbox", "serve the sandbox: the same API, real pictures, no cost")
    host = "127.0.0.1"
    made.add_argument("--host", default=host, help=f"address to listen on (default {host})")
    made.add_argument("--port", type=int, default=8080, help="port of the API; 0 for a free one (default 8080)")
    made.add_argument("--cdn-port", type=int, default=0, help="port of the pictures (default: a free one)")
    made.add_argument("--key", help="the only key that is accepted (default: any)")
    made.add_argument("--balance", type=float, metavar="USD", help="dollars on the account (default: plenty)")
    made.add_argument("--state", type=Path, metavar="DIR", help="keep the books here over restarts")
    made.add_argument("--latency", type=float, default=0.0, metavar="S", help="seconds an answer takes")
    made.add_argument("--latency-jitter", type=float, default=0.0, metavar="S", help="up to S seconds more, at random")
    made.add_argument("--requests-per-minute", type=float, metavar="N", help="answer 429 beyond this rate")
    made.add_argument("--burst", type=float, metavar="N", help="requests let in at once (default: a second's worth)")
    made.add_argument("--concurrency", type=int, metavar="N", help="answer 429 beyond this many requests in work")
    made.add_argument(
        "--retry-after", default="auto", metavar="VALUE", help="Retry-After of a 429: auto, none, or the value itself"
    )
    made.add_argument(
        "--fault", action="append", default=[], metavar="KIND[=P]", help="misbehave, with probability P; repeatable"
    )
    made.add_argument("--script", type=Path, metavar="FILE", help="YAML: text of a prompt to a list of kinds")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="seed of everything random")
    made.add_argument("--kinds", action="store_true", help="list the kinds of faults and exit")


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: name a folder (is a variable not set?)")
    return Path(text)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:18])):
        raise argparse.ArgumentTypeError(f"it must be a whole number above 0, found {text!r}")
    return int(text)
