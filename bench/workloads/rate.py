"""Rate fidelity: how much of an account's limit is used, and how often is a request refused?"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import field
from bench.assignment import Assignment
from bench.contest import Contestant
from bench.ground import empty_folder
from bench.process import Child
from bench.report import Table
from bench.settings import Settings
from bench.upstream.api import Behaviour
from bench.upstream.control import Upstream

PER_MINUTE, BURST, IN_FLIGHT = 600, 10, 64
SERVER = Behaviour(latency=0.2, jitter=0.1, per_minute=PER_MINUTE, burst=BURST)
ITEMS = 3000
"""More than anyone can get through."""

APART = 3.0
"""Seconds from the start of one contestant to the start of the next."""

NOTES = (
    f"The server takes {BURST} requests at once and then {PER_MINUTE} a minute; it refuses others with a 429 and a "
    "`Retry-After` in whole seconds. *Used* is what it accepted from the first request on, as a part of what the rate "
    "alone allows; who also spends the burst can pass 100 %. The contestants of a round run side by side, each against "
    "a server of its own: they are idle most of the time.",
)


@dataclass(frozen=True, slots=True)
class Minute:
    """What the server saw of one contestant: requests accepted and refused within the time."""

    accepted: int
    refused: int


def run(settings: Settings) -> Sequence[Table]:
    """The workload's tables."""
    window = 15.0 if settings.quick else 60.0
    known = [
        field.command_line("this program"),
        field.aiolimiter(),
        field.async_batch(),
        field.cookbook(),
    ]
    unknown = [
        field.command_line("this program"),
        field.async_batch("async-batch-llm, cooldown of 1 s"),
        field.async_batch("async-batch-llm, its defaults", "default"),
        field.openai_sdk("OpenAI SDK on aiohttp, 10 retries", "aiohttp", "retry"),
        field.litellm("litellm, 10 retries", "retry"),
        field.cookbook(),
    ]
    return [
        _table(f"Rate known: {PER_MINUTE} a minute for {window:.0f} s", settings, window, known, float(PER_MINUTE)),
        _table(f"Rate unknown: {PER_MINUTE} a minute for {window:.0f} s", settings, window, unknown, None),
    ]


def _table(
    title: str, settings: Settings, window: float, contestants: Sequence[Contestant], per_minute: float | None
) -> Table:
    rounds: list[dict[str, Minute]] = []
    for _ in range(settings.rounds):
        rounds.append(_round([one for one in contestants if not one.absent], window, per_minute))
        for name, minute in rounds[-1].items():
            settings.note(f"  {name}: {minute.accepted} accepted, {minute.refused} refused")
    allowed = PER_MINUTE * window / 60.0
    rows = [_row(one, [found[one.name] for found in rounds if one.name in found], allowed) for one in contestants]
    return Table(title, ("", "used", "429s", "429s/accepted", "spread"), rows, NOTES)


def _row(contestant: Contestant, minutes: Sequence[Minute], allowed: float) -> Sequence[str]:
    if not minutes:
        return (f"{contestant.name}: {contestant.absent}", *["-"] * 4)
    used = [minute.accepted / allowed for minute in minutes]
    refused = median(minute.refused for minute in minutes)
    part = median(minute.refused / max(minute.accepted, 1) for minute in minutes)
    spread = (max(used) - min(used)) / max(median(used), 1e-9)
    return (contestant.name, f"{median(used):.1%}", f"{refused:,.0f}", f"{part:.1%}", f"{spread:.0%}")


def _round(contestants: Sequence[Contestant], window: float, per_minute: float | None) -> dict[str, Minute]:
    """All contestants for so many seconds each, side by side."""
    with ExitStack() as stack:
        running: list[tuple[str, Upstream, Child]] = []
        for contestant in contestants:
            upstream = stack.enter_context(Upstream())
            upstream.behave(SERVER)
            folder = stack.enter_context(empty_folder())
            running.append((contestant.name, upstream, _start(contestant, upstream, folder, per_minute)))
            time.sleep(APART)
        return {name: _ended(upstream, child, window) for name, upstream, child in running}


def _start(contestant: Contestant, upstream: Upstream, folder: Path, per_minute: float | None) -> Child:
    delivered = folder / "delivered"
    delivered.mkdir()
    work = Assignment("ask", upstream.base, upstream.pictures, ITEMS, IN_FLIGHT, str(delivered), per_minute)
    return Child(contestant.prepare(work), folder / "log", contestant.environ)


def _ended(upstream: Upstream, child: Child, window: float) -> Minute:
    """What became of a contestant, once its time is up."""
    first = None
    while first is None and child.runs():
        time.sleep(0.1)
        first = upstream.books()["first"]
    if first is not None:
        time.sleep(max(0.0, first + window - time.monotonic()))
    books = upstream.books()
    child.kill()
    child.wait()
    return Minute(sum(at <= window for at in books["accepted"]), sum(at <= window for at in books["refused"]))
