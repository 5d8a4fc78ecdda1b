"""Things that a neighbour, or a mistake, may leave where a file should be."""

import os
import socket
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path


def named_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    # By its short name: the whole path may be too long for a socket.
    with chdir(path.parent), socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


def folder(path: Path) -> None:
    path.mkdir()


def link_to_a_pipe(path: Path) -> None:
    target = path.with_name(f"target-of-{path.name}")
    os.mkfifo(target)
    path.symlink_to(target)


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_a_folder(path: Path) -> None:
    target = path.with_name(f"target-of-{path.name}")
    target.mkdir()
    path.symlink_to(target)


def link_to_nothing(path: Path) -> None:
    path.symlink_to(path.with_name("nothing"))


PLANTS: dict[str, Callable[[Path], None]] = {
    "a named pipe": named_pipe,
    "a socket": a_socket,
    "a folder": folder,
    "a symbolic link to a named pipe": link_to_a_pipe,
    "a symbolic link to a device": link_to_a_device,
    "a symbolic link to a folder": link_to_a_folder,
}
"""What is no file, and no link to one either: by what it is called, how it is made."""
