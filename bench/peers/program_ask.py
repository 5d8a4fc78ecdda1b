"""This program's own way of an item up to the receipt of its answer, over the same objects that `run` wires.

What it includes: expanding the job, the decision about each item, breaker, throttle, budget, pace, the attempt's intent
committed before its POST, the POST, the answer committed as it came, and its reading. Only the download is left out.
"""

import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import anyio

from bench.assignment import Assignment, received
from pipeline import job as jobfile
from pipeline import settings
from pipeline.clock import utc_now
from pipeline.ledger import Ledger
from pipeline.limits.stop import StopSignal
from pipeline.model import Request
from pipeline.output.local import OutputFolder
from pipeline.plan.decision import Selection, requests
from pipeline.run.assemble import wire
from pipeline.run.pool import run_pool
from pipeline.run.workspace import LEDGER, planner


async def main(assignment: Assignment, path: Path) -> None:
    """Do the assignment, as the job at `path` has it."""
    job = jobfile.load(path)
    endpoint = settings.resolve(job.endpoint, {})
    stop, urls = StopSignal(), list[str]()
    with OutputFolder(job.output) as store, Ledger(store.state / LEDGER) as ledger:
        ledger.start_run("bench", utc_now(), job.endpoint)
        async with AsyncExitStack() as stack:
            producer = await wire(
                run="bench",
                limits=job.limits,
                planned=0,
                endpoint=endpoint,
                store=store,
                ledger=ledger,
                stop=stop,
                tell=_ignore,
                stack=stack,
            )
            decisions = planner(job, ledger, endpoint, Selection()).decisions(jobfile.expand(job))

            def work() -> Iterator[Request]:
                for decision in decisions:
                    yield from requests(decision.item, decision.ask, False, 1)

            async def ask(request: Request) -> None:
                for paid in await producer.asker.ask(request.item, request.indexes):
                    urls.append(paid.image.url or "")

            await run_pool(job.limits.concurrency, work(), ask, is_open=lambda: stop.reason is None)
    assignment.hand_in(urls)


def _ignore(_: object) -> None:
    pass


if __name__ == "__main__":
    anyio.run(main, received(), Path(sys.argv[2]))
