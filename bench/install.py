"""The peers, each in an environment of its own under `bench/.cache`: from PyPI, or from Debian's packages.

What can't be had is reported as such; nothing is put in its place.
"""

import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from bench.machine import CACHE

_SECONDS = 900
"""For one installation."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A peer on this machine.

    Attributes:
        program: The interpreter of its environment, or the program itself.
        version: In words.
        environ: What it needs in its environment.
        absent: Why it is not here, or an empty text.
    """

    program: str = ""
    version: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    absent: str = ""


@cache
def from_pypi(name: str, *requirements: str) -> Installed:
    """An environment with these packages, the first of which is the peer."""
    folder = CACHE / "venv" / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = folder / "installed"
    try:
        wanted = "\n".join(requirements)
        if not done.exists() or done.read_text() != wanted:
            venv.create(folder, clear=True, with_pip=True)
            _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements])
            done.write_text(wanted)
        return Installed(str(python), _version(python, re.split(r"[\[<>=]", requirements[0])[0]))
    except (OSError, subprocess.SubprocessError) as error:
        return Installed(absent=f"could not be installed: {_why(error)}")


def _version(python: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return f"{package} {_run([str(python), '-c', code]).strip()}"


@cache
def from_debian(program: str, package: str) -> Installed:
    """A program: the system's own, or else unpacked from Debian's package and what that depends on, without root."""
    found = shutil.which(program)
    environ: dict[str, str] = {}
    try:
        if found is None:
            folder = _unpacked(package)
            found = str(folder / "usr" / "bin" / program)
            libraries = sorted({str(path.parent) for path in folder.rglob("*.so*")})
            environ = {"LD_LIBRARY_PATH": os.pathsep.join(libraries)}
        said = _run([found, "--version"], environ)
    except (OSError, subprocess.SubprocessError) as error:
        return Installed(absent=f"could not be installed: {_why(error)}")
    version = re.search(r"\d+\.\d+(\.\d+)?", said)
    return Installed(found, f"{program} {version[0] if version else ''}", environ)


def _unpacked(package: str) -> Path:
    folder = CACHE / "debian" / package
    done = folder / "installed"
    if done.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    plan = _run(["apt-get", "install", "--simulate", "--no-install-recommends", package])
    names = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
    _run(["apt-get", "download", *names], cwd=folder)
    for deb in folder.glob("*.deb"):
        _run(["dpkg-deb", "--extract", str(deb), str(folder)])
    done.touch()
    return folder


def _run(command: Sequence[str], environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(environ or {})},
        check=True,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    return done.stdout


def _why(error: Exception) -> str:
    """An installer's complaint on one line."""
    said = getattr(error, "stderr", None) or str(error)
    lines = [line.strip() for line in str(said).splitlines() if line.strip()]
    return lines[-1][:160] if lines else type(error).__name__
