"""Whole job: requests with a latency, and the pictures that they make. What is left of the ideal?"""

from collections.abc import Sequence

from bench import field, report
from bench.assignment import Assignment
from bench.contest import Contest, Contestant
from bench.delivery import missing_pictures
from bench.report import Table
from bench.settings import Settings
from bench.upstream.api import Behaviour
from bench.upstream.pictures import large

ITEMS = 2000
LATENCY = Behaviour(latency=0.2, jitter=0.1)

NOTES = (
    "*This program* is `python -m pipeline run` with all its durability: every picture hashed, checked, put on the "
    "disk and recorded. The second floor tells what of a difference is the disk's. The third opens a connection for "
    "each request, hashes and checks each picture and puts it on the disk: on one core nobody who does that on aiohttp "
    "is faster. *Bare sockets* do the same without a library for HTTP. The SDK "
    "fetches its pictures with httpx, async-batch-llm with the aiohttp it is wrapped around.",
)


def run(settings: Settings) -> Sequence[Table]:
    """The workload's tables."""
    few = [
        field.floor("floor: bare aiohttp"),
        field.floor("floor, put on the disk", "fsync"),
        field.floor("floor with the same duties", "check", "fsync", "fresh"),
        field.raw("bare sockets with the same duties"),
        field.command_line("this program"),
    ]
    others = [field.curl(), field.openai_sdk("OpenAI SDK + httpx, gather"), field.async_batch()]
    return [_table(settings, 64, [*few, *others]), _table(settings, 256, [*few, others[1]])]


def _table(settings: Settings, in_flight: int, contestants: Sequence[Contestant]) -> Table:
    contest = Contest(
        contestants=contestants,
        work=Assignment("both", "", "", settings.items(ITEMS), in_flight, ""),
        judge=lambda assignment: missing_pictures(assignment, large()),
        behaviour=LATENCY,
        note=settings.note,
    )
    ideal = in_flight / LATENCY.latency
    title = f"Whole job: {contest.work.items:,} items, {LATENCY.latency} s latency, {in_flight} in flight"
    scores = contest.run(settings.rounds)
    return report.scores(title, scores, notes=(f"The ideal is {ideal:,.0f} items a second.", *NOTES))
