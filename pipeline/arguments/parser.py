"""A parser of arguments that says what is wrong in this program's own way."""

import argparse
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from pipeline import streams
from pipeline.errors import UsageError

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
