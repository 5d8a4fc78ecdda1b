"""Faults as a person writes them: on a command line, and in a file of scripts."""

from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from sandbox.behaviour import Fault


def parse_fault(text: str) -> Fault:
    """A fault from `KIND` or `KIND=PROBABILITY`, as in `500=0.05`.

    Raises:
        UsageError: The kind is unknown, or the probability is none.
    """
    kind, sign, share = text.partition("=")
    try:
        probability = float(share) if sign else 1.0
    except ValueError:
        raise UsageError(f"--fault {text}: after the `=` goes a probability between 0 and 1, found {share!r}") from None
    return Fault(kind.strip(), probability=probability)


def read_script(path: Path) -> tuple[Fault, ...]:
    """The scripts of a YAML file that maps a part of a prompt to the kinds its requests meet, one after the other.

    Raises:
        UsageError: The file can't be read, or is no such mapping.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected a mapping from a part of a prompt to a list of kinds")
    return tuple(_script(path, str(match), kinds) for match, kinds in content.items())


def _script(path: Path, match: str, kinds: Any) -> Fault:
    steps = kinds if isinstance(kinds, list) else [kinds]
    try:
        return Fault(tuple(str(step) for step in steps), match=match)
    except UsageError as error:
        raise UsageError(f"{path}: {match!r}: {error}") from None
