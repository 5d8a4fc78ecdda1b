"""Paths that a job names: its folders, and the files that it includes."""

import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from pipeline.job.diagnostics import pydantic_errors
from pipeline.job.diagnostics.diagnostic import Diagnostics, WrittenAt
from pipeline.job.rows import list_rows
from pipeline.job.yaml.scalars import shown

_VARIABLE = re.compile(r"\$(?:\$|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\}|(\{))", re.ASCII)
"""A variable of the environment; `$$` is a dollar sign."""


class Unusable(Exception):
    """A path can't be used: what was found, and the cure."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.message, self.cure = message, cure


def folder(text: str, environ: Mapping[str, str]) -> Path:
    """A folder as the job names it: `~` is the home, and `$NAME` or `${NAME}` a variable of the environment.

    Raises:
        Unusable: A variable has no value, there is no home, or the path can't be written here.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if match[3]:
            raise Unusable("${ does not begin a name in braces", "write $NAME or ${NAME}, and $$ for a dollar sign")
        if name is None:
            return "$"
        if pydantic_errors.looks_secret(name):
            raise Unusable(f"${name} looks like a secret, which has no place in a path", "name a folder without it")
        if not environ.get(name):
            raise Unusable(f"${name} is not set in the environment", f"set {name}, or write $$ for a dollar sign")
        return environ[name]

    expanded = _VARIABLE.sub(value, text)
    check_encodable(expanded)
    if "\0" in expanded:
        raise Unusable("it can't name a folder", "write the path of a folder")
    try:
        return Path(expanded).expanduser()
    except RuntimeError:
        raise Unusable("there is no such home folder", "write the whole path, or set HOME") from None


def check_encodable(text: str) -> None:
    """Refuse a path that the system's encoding has no signs for.

    Raises:
        Unusable: It has none.
    """
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        sign = text[error.start]
        message = f"the locale's encoding ({sys.getfilesystemencoding()}) has no sign for {sign!r}"
        raise Unusable(message, "set LC_ALL=C.UTF-8 or PYTHONUTF8=1 in the environment") from None


def output(path: Path, job: Path, source: WrittenAt, example: str, mistakes: Diagnostics) -> None:
    """Note an output folder that holds other things by its nature: the root, the home, the job's own folder."""
    name, place = source.name("output"), source.place("output")
    try:
        resolved = path.resolve()
        forbidden = {Path(resolved.anchor), job.parent.resolve()}
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it can't be followed"
        mistakes.add(place, f"{name} is {shown(str(path))}: {reason}", "name a folder")
        return
    # Where there is no home, none has to be kept from the images.
    with suppress(OSError, RuntimeError):
        forbidden.add(Path.home().resolve())
    if resolved in forbidden:
        message = f"{name} is {shown(str(path))}: the root, the home or the job's own folder"
        mistakes.add(place, message, f"name a folder for the images alone, for example build/{example}")


def include(file: str, job: Path, source: WrittenAt, mistakes: Diagnostics) -> Path | None:
    """The path of an included file, or None where it may not be included.

    It is named from the job's folder and lies in it; a link that lies there may lead anywhere. Where the job file
    itself is a link, its target's folder is looked into after its own. The path is that of the link, not of what it
    leads to: a link that is made anew changes the job.
    """
    place, name = source.place("file"), source.name("file")
    if PurePosixPath(file).suffix.lower() not in list_rows.SUFFIXES:
        mistakes.add(place, f"{name} is {shown(file)}", f"name a file that ends in {', '.join(list_rows.SUFFIXES)}")
        return None
    if Path(file).is_absolute() or ".." in Path(file).parts:
        message = f"{name} is {shown(file)}, outside the job's folder"
        cure = "put the file, or a link to it, into the job's folder and write its path from there"
        mistakes.add(place, message, cure)
        return None
    try:
        check_encodable(file)
        roots = dict.fromkeys((job.parent.resolve(), job.resolve().parent))
        found = [root / file for root in roots if os.path.lexists(root / file)]
        return found[0] if found else next(iter(roots)) / file
    except Unusable as error:
        mistakes.add(place, f"{name} is {shown(file)}: {error.message}", error.cure)
    except (OSError, ValueError, RuntimeError):
        mistakes.add(place, f"{name} is {shown(file)}, which can't be followed", "name a plain file")
    return None
