"""Download only: large pictures, nothing to ask for. What does a gigabyte cost?"""

from collections.abc import Sequence

from bench import field, report
from bench.assignment import Assignment
from bench.contest import Contest
from bench.delivery import missing_pictures
from bench.report import Table
from bench.settings import Settings
from bench.upstream.api import Behaviour
from bench.upstream.pictures import large

ITEMS, IN_FLIGHT = 2000, 32

NOTES = (
    "The floor hashes (SHA-256) and checks (the CRC of every chunk) what it writes, as this program does; *nothing "
    "checked* only writes. This program also puts each file and its name on the disk before it counts as saved; *put "
    "on the disk* is the floor with an fsync of each file, to tell what of a difference is the disk's. *Bare sockets* "
    "do all that without a library for HTTP: what is left of their time is the price of the promises.",
)


def run(settings: Settings) -> Sequence[Table]:
    """The workload's tables."""
    contest = Contest(
        contestants=[
            field.floor("floor: bare aiohttp, hashed and checked", "check"),
            field.floor("the same, put on the disk", "check", "fsync"),
            field.floor("bare aiohttp, nothing checked"),
            field.raw("bare sockets, checked, on the disk"),
            field.program("this program", "program_fetch"),
            field.curl(),
            field.aria2(),
            field.img2dataset(),
        ],
        work=Assignment("fetch", "", "", settings.items(ITEMS), IN_FLIGHT, ""),
        judge=lambda assignment: missing_pictures(assignment, large()),
        behaviour=Behaviour(),
        note=settings.note,
    )
    size = large().size
    title = f"Download only: {contest.work.items:,} pictures of {size / 1e6:.1f} MB, {IN_FLIGHT} in flight"
    return [report.scores(title, contest.run(settings.rounds), per_gb=size / 1e9, notes=NOTES)]
