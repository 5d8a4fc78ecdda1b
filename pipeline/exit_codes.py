"""What the program's exit codes mean: the one table that errors, `--help` and the reference are made from."""

import textwrap
from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended; `meaning` says it to a person."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> "ExitCode":
        """A code with its meaning."""
        made = int.__new__(cls, code)
        made._value_ = code
        made.meaning = meaning
        return made

    DONE = 0, "every image is there, or all that --only and --limit chose; `plan`, `status`: the report was printed"
    INCOMPLETE = 1, "some items failed, `verify` found a file or an image missing or damaged, or `audit` a difference"
    WRONG_INPUT = 2, "the job or the command line is wrong; nothing was sent"
    KEY_REFUSED = 3, "no key, or the key or the account was refused"
    PROVIDER_UNAVAILABLE = 5, "the provider is unavailable; the next run goes on from here"
    STORAGE_FAILED = (
        6,
        "local storage: disk full, not writable, a broken ledger, something that is not a file in the place of one, "
        "or a folder moved or removed during the run",
    )
    BUDGET_REACHED = 7, "the budget is reached"
    UNUSABLE_ANSWERS = 8, "paid answers in a row brought no usable picture: nothing more was asked for"
    FOLDER_LOCKED = 11, "another run holds the output folder"
    HUNG_UP = 129, "stopped by SIGHUP, as when its terminal is closed; the next run goes on from here"
    INTERRUPTED = 130, "stopped by Ctrl-C (SIGINT); the next run goes on from here"
    QUIT = 131, "stopped by SIGQUIT; the next run goes on from here"
    TERMINATED = 143, "stopped by SIGTERM; the next run goes on from here"


def table(width: int = 110) -> str:
    """The table as `--help` shows it, in lines of at most `width` characters."""
    lines = ["exit codes:"]
    for code in ExitCode:
        lines += textwrap.wrap(
            code.meaning, width, initial_indent=f"  {code.value:<5}", subsequent_indent=" " * 7, break_on_hyphens=False
        )
    return "\n".join(lines) + "\n"
