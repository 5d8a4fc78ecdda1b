"""The commands by name. Each is imported when it is asked for, so that none pays for what another needs."""

from importlib import import_module
from typing import TYPE_CHECKING, cast

from pipeline.commands.contract import Command

COMMANDS = {
    "run": "pipeline.commands.run",
    "plan": "pipeline.commands.plan",
    "status": "pipeline.commands.status",
    "verify": "pipeline.commands.verify",
    "audit": "pipeline.commands.audit",
    "manifest": "pipeline.commands.manifest",
    "sandbox": "pipeline.commands.sandbox",
}
"""Each command's module, in the order in which `--help` lists them."""

if TYPE_CHECKING:
    from pipeline.commands import audit, manifest, plan, run, sandbox, status, verify

    _: tuple[Command, ...] = (run, plan, status, verify, audit, manifest, sandbox)


def find(name: str) -> Command:
    """The command of this name."""
    return cast("Command", import_module(COMMANDS[name]))
