"""API only: tiny answers at once, many in flight. What does asking cost, apart from the network and the provider?"""

from collections.abc import Sequence
from dataclasses import replace

from bench import field, report
from bench.assignment import Assignment
from bench.contest import Contest
from bench.delivery import missing_answers, missing_pictures
from bench.report import Table
from bench.settings import Settings
from bench.upstream.api import Behaviour
from bench.upstream.pictures import tiny

ITEMS, IN_FLIGHT = 5000, 64

NOTES = (
    "*Ask and receipt* is the program's own way of an item without its download: the job expanded, each item decided, "
    "every attempt's intent committed to the ledger before its POST, and its answer committed as it came. *Whole run* "
    "is `python -m pipeline run` with answers that hold a picture of one pixel: in addition each picture is checked, "
    "written, put on the disk, renamed and recorded, and the manifest is written. Nobody else writes anything down but "
    "the cookbook's method, which appends each answer to a file. The program opens a connection for each request, "
    "since on one kept alive a reset leaves open whether a request was billed; the others keep theirs. *A connection "
    "each* is the floor with that, and nothing else; *bare sockets* the same without a library: who opens a connection "
    "for each request in Python is hardly faster.",
)


def run(settings: Settings) -> Sequence[Table]:
    """The workload's tables."""
    whole_run = replace(
        field.command_line("this program, whole run"),
        judge=lambda assignment: missing_pictures(assignment, tiny()),
        behaviour=Behaviour(inline=True),
    )
    contest = Contest(
        contestants=[
            field.floor("floor: bare aiohttp"),
            field.floor("the same, a connection each", "fresh"),
            field.raw("bare sockets, a connection each"),
            field.program("this program, ask and receipt", "program_ask"),
            whole_run,
            field.async_batch(),
            field.openai_sdk("OpenAI SDK on aiohttp, gather", "aiohttp"),
            field.openai_sdk("OpenAI SDK, gather"),
            field.cookbook(6e7),
            field.litellm(),
            field.curl(),
        ],
        work=Assignment("ask", "", "", settings.items(ITEMS), IN_FLIGHT, ""),
        judge=missing_answers,
        behaviour=Behaviour(),
        note=settings.note,
    )
    title = f"API only: {contest.work.items:,} tiny answers, {IN_FLIGHT} in flight, no latency"
    return [report.scores(title, contest.run(settings.rounds), notes=NOTES)]
