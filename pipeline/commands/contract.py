"""What every command is: a module with its words, its options and what it does."""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Report:
    """What a command has found, to be shown to people or to programs.

    Attributes:
        exit_code: One of `ExitCode`.
        as_dict: Makes what `--json` prints: all of it, as JSON can hold it.
        lines: Makes the lines for standard output, one at a time; bytes are written as they are.
        complaints: Lines for standard error, after the others.
        needed: Whether the command is for these lines alone, so that one which can't be written is its failure.
    """

    exit_code: int
    as_dict: Callable[[], Mapping[str, Any]]
    lines: Callable[[], Iterable[str | bytes]]
    complaints: tuple[str, ...] = ()
    needed: bool = True


class Command(Protocol):
    """A verb of the command line. Each is a module of `commands`, which does nothing when it is imported."""

    @property
    def help(self) -> str:
        """What it does, in one line without a full stop."""
        ...

    @property
    def examples(self) -> Sequence[str]:
        """Command lines that show how it is called, from the command on."""
        ...

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add its arguments and options to its own parser."""
        ...

    def run(self, arguments: argparse.Namespace, environ: Mapping[str, str]) -> Report:
        """Do it.

        Args:
            arguments: What its parser understood.
            environ: Where the key, the base URL and proxies are looked up.

        Raises:
            StopRun: It could not begin, or must end; `exit_code` says with what.
        """
        ...
