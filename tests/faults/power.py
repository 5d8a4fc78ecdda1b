"""What is left on the disk when the power fails: a model, fed with the trace of a real run.

POSIX promises little: bytes are durable once their file was synced, names (of new files, and renames) once their
folder was; whatever else had happened may be there after the crash or not, each for itself, and a file may be torn at
any byte. A commit of the ledger is durable when it returns (SQLite, WAL, synchronous=FULL, which also syncs the folder
that the ledger is in), if that folder itself is.
"""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pipeline.ledger.group_commit import GroupCommit
from sandbox.request_log import RequestLog


@dataclass(frozen=True)
class Event:
    """One step of a run.

    Attributes:
        kind: `create`, `write`, `truncate`, `sync`, `link`, `rename`, `unlink`, `mkdir`, `folder` (a folder was
            synced), `ledger`, `post` or `get`.
        name: The file, the new name, the folder, the attempt's id, or the picture's path.
        old: Of a rename or a link: the other name.
        size: Of a write: bytes.
        attempts: Of a commit: each attempt's state in the ledger now.
        saved: Of a commit: path and bytes of each saved image.
        paid: Of a commit: the answers that are paid for.
    """

    kind: str
    name: str = ""
    old: str = ""
    size: int = 0
    attempts: dict[str, str] = field(default_factory=dict)
    saved: dict[str, int] = field(default_factory=dict)
    paid: str = ""


OUTPUT = "out"
STATE = f"{OUTPUT}/.pipeline"


class Recorder:
    """Takes down what runs do below a folder, in order. Its name is durable; the output folder in it is not there yet.

    Every name is relative to it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[int, str] = {}
        self.trace: list[Event] = []

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Until the end of the block."""
        with ExitStack() as stack:
            for name in ("open", "write", "ftruncate", "fsync", "replace", "link", "unlink", "mkdir"):
                stack.enter_context(patch.object(os, name, getattr(self, f"_{name}")(getattr(os, name))))
            stack.enter_context(patch.object(GroupCommit, "_commit", self._commit(GroupCommit._commit)))
            stack.enter_context(patch.object(RequestLog, "enter", self._enter(RequestLog.enter)))
            stack.enter_context(patch.object(RequestLog, "got", self._got(RequestLog.got)))
            yield

    def _name(self, path: Any, within: int | None = None) -> str | None:
        """The name of a file or folder; `.` is the folder itself. None: it is not below it.

        `within`: The open folder that the path begins in.
        """
        if within is not None and within not in self._files:
            return None
        found = (self._root / self._files[within] / path) if within is not None else Path(path).absolute()
        return found.relative_to(self._root).as_posix() if found.is_relative_to(self._root) else None

    def _open(self, call: Callable[..., int]) -> Callable[..., int]:
        def wrapper(path: Any, flags: int, *rest: Any, **options: Any) -> int:
            name = self._name(path, options.get("dir_fd"))
            there = os.path.lexists(path if name is None else self._root / name)
            descriptor = call(path, flags, *rest, **options)
            self._files.pop(descriptor, None)
            if name is not None:
                self._files[descriptor] = name
                if not there:
                    self.trace.append(Event("create", name))
            return descriptor

        return wrapper

    def _write(self, call: Callable[..., int]) -> Callable[..., int]:
        def wrapper(descriptor: int, data: Any) -> int:
            written = call(descriptor, data)
            if descriptor in self._files:
                self.trace.append(Event("write", self._files[descriptor], size=written))
            return written

        return wrapper

    def _ftruncate(self, call: Callable[[int, int], None]) -> Callable[[int, int], None]:
        def wrapper(descriptor: int, size: int) -> None:
            call(descriptor, size)
            if descriptor in self._files and not size:
                self.trace.append(Event("truncate", self._files[descriptor]))

        return wrapper

    def _fsync(self, call: Callable[[int], None]) -> Callable[[int], None]:
        def wrapper(descriptor: int) -> None:
            call(descriptor)
            name = self._files.get(descriptor)
            if name is not None:
                self.trace.append(Event("folder" if (self._root / name).is_dir() else "sync", name))

        return wrapper

    def _replace(self, call: Callable[..., None]) -> Callable[..., None]:
        return self._two_names("rename", call)

    def _link(self, call: Callable[..., None]) -> Callable[..., None]:
        return self._two_names("link", call)

    def _two_names(self, kind: str, call: Callable[..., None]) -> Callable[..., None]:
        def wrapper(old: Any, new: Any, **options: Any) -> None:
            call(old, new, **options)
            name = self._name(new, options.get("dst_dir_fd"))
            if name is not None:
                self.trace.append(Event(kind, name, old=self._name(old, options.get("src_dir_fd")) or ""))

        return wrapper

    def _unlink(self, call: Callable[..., None]) -> Callable[..., None]:
        return self._one_name("unlink", call)

    def _mkdir(self, call: Callable[..., None]) -> Callable[..., None]:
        return self._one_name("mkdir", call)

    def _one_name(self, kind: str, call: Callable[..., None]) -> Callable[..., None]:
        def wrapper(path: Any, *rest: Any, **options: Any) -> None:
            call(path, *rest, **options)
            name = self._name(path, options.get("dir_fd"))
            if name is not None:
                self.trace.append(Event(kind, name))

        return wrapper

    def _commit(self, call: Callable[..., None]) -> Callable[..., None]:
        def wrapper(committer: GroupCommit, batch: Any) -> None:
            call(committer, batch)
            query = committer._connection.execute
            attempts = dict(query("SELECT id, state FROM attempts").fetchall())
            images = query("SELECT path, bytes FROM images WHERE state = 'saved'").fetchall()
            saved = {f"{OUTPUT}/{path}": size for path, size in images}
            answers = query("SELECT answer FROM attempts WHERE state = 'paid' AND answer IS NOT NULL").fetchall()
            paid = " ".join(answer.decode() for (answer,) in answers)
            self.trace.append(Event("ledger", attempts=attempts, saved=saved, paid=paid))

        return wrapper

    def _enter(self, call: Callable[..., int]) -> Callable[..., int]:
        def wrapper(books: RequestLog, **entry: Any) -> int:
            self.trace.append(Event("post", entry["client_request_id"]))
            return call(books, **entry)

        return wrapper

    def _got(self, call: Callable[..., None]) -> Callable[..., None]:
        def wrapper(books: RequestLog, created: float, path: str, headers: Any) -> None:
            self.trace.append(Event("get", path))
            call(books, created, path, headers)

        return wrapper


@dataclass
class Disk:
    """What a crash after some steps may leave: the bytes of each file, those it was to have, and the ledger."""

    sizes: dict[str, int]
    whole: dict[str, int]
    ledger: Event


FOLDER = "/"
"""Stands for a folder among the files."""


@dataclass
class _Names:
    """Which name leads to which file: for the program, and for whoever comes after the crash."""

    now: dict[str, str] = field(default_factory=dict)
    durable: dict[str, str] = field(default_factory=dict)
    pending: list[tuple[str, Callable[[dict[str, str]], None]]] = field(default_factory=list)

    def change(self, name: str, how: Callable[[dict[str, str]], None]) -> None:
        """Do something to the folder that a name is in; it is not durable yet."""
        how(self.now)
        self.pending.append((str(Path(name).parent), how))

    def sync(self, folder: str) -> None:
        """Make what was done to a folder durable."""
        for how in [how for where, how in self.pending if where == folder]:
            how(self.durable)
        self.pending = [(where, how) for where, how in self.pending if where != folder]

    def after(self, chance: random.Random, keep: float) -> dict[str, str]:
        """The names after a crash: of what is not durable, each thing may have been done or not."""
        left = dict(self.durable)
        for _, how in self.pending:
            if chance.random() < keep:
                how(left)
        return {name: file for name, file in left.items() if _reached(name, left)}


def _reached(name: str, left: dict[str, str]) -> bool:
    return all(left.get(str(folder)) == FOLDER for folder in Path(name).parents if str(folder) != ".")


def _naming(name: str, file: str) -> Callable[[dict[str, str]], None]:
    return lambda names: names.update({name: file})


def _renaming(old: str, new: str, file: str) -> Callable[[dict[str, str]], None]:
    """Both at once: the file system does it so, where both names are in one folder."""

    def how(names: dict[str, str]) -> None:
        names.pop(old, None)
        names[new] = file

    return how


def _removing(name: str) -> Callable[[dict[str, str]], None]:
    def how(names: dict[str, str]) -> None:
        names.pop(name, None)

    return how


class Replay:
    """A trace, step by step; at any of them the power may fail, as often as one likes."""

    def __init__(self) -> None:
        self._size: dict[str, int] = {}  # bytes of each file, by its first name
        self._synced: dict[str, int] = {}
        self._names = _Names()
        self._ledger = Event("ledger")

    def step(self, event: Event) -> None:
        """Do the next step."""
        names, size, synced = self._names, self._size, self._synced
        file = names.now.get(event.old or event.name)
        if event.kind == "create":
            file = f"{event.name}#{len(size)}"
            size[file] = synced[file] = 0
            names.change(event.name, _naming(event.name, file))
        elif event.kind == "mkdir":
            names.change(event.name, _naming(event.name, FOLDER))
        elif event.kind == "folder":
            names.sync(event.name)
        elif event.kind == "ledger":
            self._ledger = event
        elif file is not None:
            _step(event, file, names, size, synced)

    def crash(self, chance: random.Random, keep: float) -> Disk:
        """The disk after a crash now; each step that is not durable is kept with probability `keep`."""
        size, synced = self._size, self._synced
        left = self._names.after(chance, keep)
        files = {name: file for name, file in left.items() if file != FOLDER}
        sizes = {
            name: chance.choice((synced[file], size[file], chance.randint(synced[file], size[file])))
            for name, file in files.items()
        }
        found = self._ledger if left.get(STATE) == FOLDER else Event("ledger")
        return Disk(sizes, {name: size[file] for name, file in files.items()}, found)


def _step(event: Event, file: str, names: _Names, size: dict[str, int], synced: dict[str, int]) -> None:
    """One step that concerns a file that is there."""
    if event.kind == "write":
        size[file] += event.size
    elif event.kind == "truncate":
        size[file] = synced[file] = 0
    elif event.kind == "sync":
        synced[file] = size[file]
    elif event.kind == "link":
        names.change(event.name, _naming(event.name, file))
    elif event.kind == "rename":
        names.change(event.name, _renaming(event.old, event.name, file))
    elif event.kind == "unlink":
        names.change(event.name, _removing(event.name))


def faults_of(trace: Sequence[Event], disk: Disk) -> list[str]:
    """What must never be found on a disk, whenever the power failed."""
    found = [
        f"{event.name} was sent, and the ledger does not know it"
        for event in trace
        if event.kind == "post" and event.name not in disk.ledger.attempts
    ]
    found += [
        f"{event.name} was fetched, and the ledger does not know that it is paid for"
        for event in trace
        if event.kind == "get" and event.name not in disk.ledger.paid
    ]
    found += [
        f"{name} is called saved, and is not whole"
        for name, wanted in disk.ledger.saved.items()
        if disk.sizes.get(name) != wanted
    ]
    found += [
        f"{name} is torn" for name, there in disk.sizes.items() if name.endswith(".png") and there != disk.whole[name]
    ]
    return found
