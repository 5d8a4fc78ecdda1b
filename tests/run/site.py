"""A job of one's own in a folder of one's own, run through the public Python API against a sandbox on a real socket."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from pipeline import Job, Record, Selection, Summary, load_job, run_async
from pipeline.events import Event, Severity
from pipeline.ledger import LedgerReader
from pipeline.limits.policy import Policy
from pipeline.listeners.on_record import OnRecord
from pipeline.manifest import file as manifest
from sandbox import Behaviour, Fault, Sandbox
from tests.policies import QUICK

KEY = "sk-live-4f9a1c77e0b2"
PRICE = 126_000
"""Credits for one image of the default model."""


def faults(*kinds: str | tuple[str, ...] | Fault) -> Behaviour:
    """A sandbox that has these faults; a tuple is a script."""
    return Behaviour(faults=tuple(kind if isinstance(kind, Fault) else Fault(kind) for kind in kinds))


@dataclass
class Site:
    """A job file, its output folder, and the sandbox that it asks."""

    folder: Path
    sandbox: Sandbox
    job: dict[str, Any] = field(default_factory=dict)
    summary: Summary | None = None
    policy: Policy = QUICK

    @property
    def output(self) -> Path:
        return self.folder / "out"

    @property
    def posts(self) -> int:
        """Requests that have reached the sandbox so far."""
        return self.sandbox.request_log.count()

    def load(self, *prompts: Any, **more: Any) -> Job:
        """Write the job file and read it; what is not given stays as it was."""
        self.job |= more | ({"prompts": list(prompts)} if prompts else {})
        limits = {"billing_lag": 0} | (self.job.get("limits") or {})
        job = (
            {"endpoint": self.sandbox.base, "output": str(self.output), "aspect_ratios": ["16:9"]}
            | self.job
            | {"limits": limits}
        )
        path = self.folder / "site.yaml"
        path.write_text(json.dumps(job))
        return load_job(path)

    async def run(
        self,
        *prompts: Any,
        selection: Selection | None = None,
        environ: Mapping[str, str] | None = None,
        on_record: OnRecord | None = None,
        stop_when: Callable[[], object] | None = None,
        stop_after: float = math.inf,
        note: Callable[[str], None] | None = None,
        **more: Any,
    ) -> Summary:
        """Run the job; `prompts` and `more` change it first, and stay.

        As soon as `stop_when` holds, or so many seconds after that, it is torn down as by a kill; the summary is then
        that of the run before. What is said to whoever watches goes to `note`.
        """
        job = self.load(*prompts, **more)
        given = {"AIML_API_KEY": KEY} if environ is None else environ
        call = partial(
            run_async,
            job,
            selection=selection,
            environ=given,
            on_record=on_record,
            policy=self.policy,
            listeners=[] if note is None else [lambda event: _pass_on(event, note)],
        )
        if stop_when is None and stop_after == math.inf:
            self.summary = await call()
            return self.summary
        async with anyio.create_task_group() as group:
            group.start_soon(_tear_down, group.cancel_scope, stop_when, stop_after)
            self.summary = await call()
            group.cancel_scope.cancel()
        return self.summary or Summary("", "", "", "")

    async def asks(self, *prompts: Any, **more: Any) -> int:
        """Run the job, and give the number of requests that reached the sandbox meanwhile."""
        before = self.posts
        await self.run(*prompts, **more)
        return self.posts - before

    def billed(self) -> int:
        """Tokens that were billed by the ledger, over all runs; nothing may be unresolved."""
        with LedgerReader(self.output / ".pipeline" / "ledger.db") as ledger:
            books = ledger.books()
        assert not books.unresolved
        return books.billed

    def records(self) -> list[Record]:
        """The manifest; every line of it must be a record."""
        found = [record for _, record in manifest.read(self.output / "manifest.jsonl")]
        assert None not in found
        return [record for record in found if record]

    def record(self) -> Record:
        """The only line of the manifest."""
        (only,) = self.records()
        return only

    def pictures(self) -> dict[str, bytes]:
        """The files in the output folder that a visitor would see, by name."""
        return {
            path.name: path.read_bytes()
            for path in sorted(self.output.iterdir())
            if path.is_file() and path.name != "manifest.jsonl"
        }

    def replaced(self) -> list[bytes]:
        """What is kept in the state folder because something else took its name."""
        return [path.read_bytes() for path in sorted(self.output.glob(".pipeline/replaced/*"))]


def _pass_on(event: Event, note: Callable[[str], None]) -> None:
    if event.severity >= Severity.INFO:
        note(event.line)


async def _tear_down(scope: anyio.CancelScope, when: Callable[[], object] | None, after: float) -> None:
    while when and not when():
        await anyio.sleep(0.005)
    await anyio.sleep(0 if after == math.inf else after)
    scope.cancel()


class VirtualTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
