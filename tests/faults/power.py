"""What is left on the disk when the power fails: a model, fed with the trace of a real run.

POSIX promises little: bytes are durable once their file was synced, names (of new files, and renames) once their
folder was; whatever else had happened may be there after the crash or not, each for itself, and a file may be torn at
any byte. A commit of the ledger is durable when it returns (SQLite, WAL, synchronous=FULL).
"""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pipeline.ledger import Ledger
from pipeline.sandbox.books import Books


@dataclass(frozen=True)
class Event:
    """One step of a run.

    Attributes:
        kind: `create`, `write`, `sync`, `rename`, `folder` (a folder was synced), `ledger`, `post` or `get`.
        name: The file, the new name, the attempt's id, or the picture's path.
        old: Of a rename: the name before.
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


class Recorder:
    """Takes down what a run does, in order."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[int, str] = {}
        self.trace: list[Event] = []

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Until the end of the block."""
        with ExitStack() as stack:
            for name in ("open", "write", "fsync", "replace"):
                stack.enter_context(patch.object(os, name, getattr(self, f"_{name}")(getattr(os, name))))
            stack.enter_context(patch.object(Ledger, "_commit", self._commit(Ledger._commit)))
            stack.enter_context(patch.object(Books, "enter", self._enter(Books.enter)))
            stack.enter_context(patch.object(Books, "got", self._got(Books.got)))
            yield

    def _open(self, call: Callable[..., int]) -> Callable[..., int]:
        def wrapper(path: Any, flags: int, *rest: Any, **options: Any) -> int:
            descriptor = call(path, flags, *rest, **options)
            if Path(path).parent == self._root or Path(path) == self._root:
                self._files[descriptor] = "" if Path(path) == self._root else Path(path).name
                if flags & os.O_CREAT and Path(path) != self._root:
                    self.trace.append(Event("create", Path(path).name))
            else:
                self._files.pop(descriptor, None)
            return descriptor

        return wrapper

    def _write(self, call: Callable[..., int]) -> Callable[..., int]:
        def wrapper(descriptor: int, data: Any) -> int:
            written = call(descriptor, data)
            if self._files.get(descriptor):
                self.trace.append(Event("write", self._files[descriptor], size=written))
            return written

        return wrapper

    def _fsync(self, call: Callable[[int], None]) -> Callable[[int], None]:
        def wrapper(descriptor: int) -> None:
            call(descriptor)
            name = self._files.get(descriptor)
            if name is not None:
                self.trace.append(Event("sync", name) if name else Event("folder"))

        return wrapper

    def _replace(self, call: Callable[..., None]) -> Callable[..., None]:
        def wrapper(old: Any, new: Any, **options: Any) -> None:
            call(old, new, **options)
            if Path(new).parent == self._root:
                self.trace.append(Event("rename", Path(new).name, old=Path(old).name))

        return wrapper

    def _commit(self, call: Callable[..., None]) -> Callable[..., None]:
        def wrapper(ledger: Ledger, batch: Any) -> None:
            call(ledger, batch)
            query = ledger._writer.execute
            attempts = dict(query("SELECT id, state FROM attempts").fetchall())
            saved = dict(query("SELECT path, bytes FROM images WHERE state = 'saved'").fetchall())
            answers = query("SELECT answer FROM attempts WHERE state = 'paid' AND answer IS NOT NULL").fetchall()
            paid = " ".join(answer.decode() for (answer,) in answers)
            self.trace.append(Event("ledger", attempts=attempts, saved=saved, paid=paid))

        return wrapper

    def _enter(self, call: Callable[..., int]) -> Callable[..., int]:
        def wrapper(books: Books, **entry: Any) -> int:
            self.trace.append(Event("post", entry["client_request_id"]))
            return call(books, **entry)

        return wrapper

    def _got(self, call: Callable[..., None]) -> Callable[..., None]:
        def wrapper(books: Books, created: float, path: str, headers: Any) -> None:
            self.trace.append(Event("get", path))
            call(books, created, path, headers)

        return wrapper


@dataclass
class Disk:
    """What a crash after some steps may leave."""

    sizes: dict[str, int]
    whole: dict[str, int]
    ledger: Event


def crash(trace: Sequence[Event], chance: random.Random, keep: float) -> Disk:
    """The disk after a crash at the end of `trace`; each step that is not durable is kept with probability `keep`."""
    size: dict[str, int] = {}  # bytes of each file, by its first name
    synced: dict[str, int] = {}
    inode: dict[str, str] = {}  # the file that a name leads to, for the program
    durable: dict[str, str] = {}  # the same on the disk
    pending: list[Event] = []
    ledger = Event("ledger")
    for event in trace:
        if event.kind == "create":
            file = f"{event.name}#{len(size)}"
            size[file] = synced[file] = 0
            inode[event.name] = file
            pending.append(Event("create", event.name, old=file))
        elif event.kind == "write" and event.name in inode:
            size[inode[event.name]] += event.size
        elif event.kind == "sync" and event.name in inode:
            synced[inode[event.name]] = size[inode[event.name]]
        elif event.kind == "rename" and event.old in inode:
            inode[event.name] = inode.pop(event.old)
            pending.append(Event("rename", event.name, old=inode[event.name]))
        elif event.kind == "folder":
            durable |= {step.name: step.old for step in pending}
            pending.clear()
        elif event.kind == "ledger":
            ledger = event
    durable |= {step.name: step.old for step in pending if chance.random() < keep}
    sizes = {
        name: chance.choice((synced[file], size[file], chance.randint(synced[file], size[file])))
        for name, file in durable.items()
    }
    return Disk(sizes, {name: size[file] for name, file in durable.items()}, ledger)


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
        f"{name} is torn"
        for name, there in disk.sizes.items()
        if not name.endswith(".part") and there != disk.whole[name]
    ]
    return found
