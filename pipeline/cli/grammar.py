"""The grammar of the command line, made of what each command says of itself."""

import argparse
from collections.abc import Sequence
from typing import Any

from pipeline import exit_codes
from pipeline.arguments.invocation import program
from pipeline.arguments.parser import Parser
from pipeline.commands.registry import COMMANDS, find
from pipeline.version import __version__


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Understand a command line; `command` names what it asks for.

    Raises:
        SystemExit: It asked for help or the version, which have been printed.
        WrongArguments: It can't be understood.
    """
    # Of the others nothing is needed where the line begins with a command.
    names = argv[:1] if argv and argv[0] in COMMANDS else list(COMMANDS)
    arguments, unknown = parser(names).parse_known_args(argv)
    if unknown:
        made: Parser = arguments.parser
        made.refuse_unknown(unknown)
    return arguments


def parser(names: Sequence[str] = tuple(COMMANDS)) -> Parser:
    """The whole command line, or a part with some commands."""
    top = Parser(
        prog=program(),
        description="The build system for generated images: make only what is missing, pay once.",
        epilog=_epilog(("run jobs/catalog.yaml", "plan jobs/catalog.yaml", "COMMAND --help")),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name in names:
        _add(commands, name)
    return top


def _add(commands: Any, name: str) -> None:
    command = find(name)
    made: Parser = commands.add_parser(
        name,
        help=command.help,
        description=command.help[0].upper() + command.help[1:] + ".",
        epilog=_epilog(command.examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(command=name, parser=made)
    command.add_options(made)


def _epilog(examples: Sequence[str]) -> str:
    shown = "\n".join(f"  {program()} {example}" for example in examples)
    return f"examples:\n{shown}\n\n{exit_codes.table()}"
