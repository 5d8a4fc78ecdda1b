"""Rounds: every contestant does the same work once a round, in an order that changes from round to round."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from bench.assignment import Assignment
from bench.ground import empty_folder
from bench.process import Usage, measure, one_line
from bench.upstream.api import Behaviour
from bench.upstream.control import Upstream

Prepare = Callable[[Assignment], Sequence[str]]
"""Writes what a contestant needs to be there (not measured), and gives its command line."""

Judge = Callable[[Assignment], int]
"""How many of the items were not delivered as they should have been."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One that takes part.

    Attributes:
        name: As the tables show it.
        prepare: Gives its command line.
        environ: Added to its environment.
        absent: Why it can't take part here, or an empty text.
        judge: Decides instead of the contest's own judge.
        behaviour: Of the server, instead of the contest's own.
    """

    name: str
    prepare: Prepare
    environ: Mapping[str, str] = field(default_factory=dict)
    absent: str = ""
    judge: Judge | None = None
    behaviour: Behaviour | None = None


@dataclass(frozen=True, slots=True)
class Lap:
    """One contestant's work in one round.

    Attributes:
        whole: All of it.
        one: The same with a single item: what starting up takes.
        items: How many items.
        lost: How many of them were not delivered, or not right.
    """

    whole: Usage
    one: Usage
    items: int
    lost: int

    @property
    def rate(self) -> float:
        """Items a second, start-up apart."""
        return (self.items - 1) / max(self.whole.seconds - self.one.seconds, 1e-9)

    @property
    def cpu(self) -> float:
        """Seconds of CPU an item, start-up apart."""
        return (self.whole.cpu - self.one.cpu) / (self.items - 1)


@dataclass(slots=True)
class Score:
    """A contestant's laps, or why there are none."""

    name: str
    absent: str = ""
    laps: list[Lap] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Items a second: the median."""
        return median(lap.rate for lap in self.laps)

    @property
    def cpu(self) -> float:
        """Seconds of CPU an item: the median."""
        return median(lap.cpu for lap in self.laps)

    @property
    def peak(self) -> int:
        """Bytes of memory: the median."""
        return int(median(lap.whole.peak for lap in self.laps))

    @property
    def spread(self) -> float:
        """Between the fastest and the slowest lap, as a part of the median."""
        rates = [lap.rate for lap in self.laps]
        return (max(rates) - min(rates)) / self.rate

    @property
    def lost(self) -> int:
        """Items lost in the worst lap."""
        return max(lap.lost for lap in self.laps)


@dataclass(frozen=True, slots=True)
class Contest:
    """The same work for several contestants.

    Attributes:
        contestants: Who takes part.
        work: The assignment; its folder and its addresses are filled in for each lap.
        judge: Decides what was lost.
        behaviour: Of the server.
        note: Told what is going on.
    """

    contestants: Sequence[Contestant]
    work: Assignment
    judge: Judge
    behaviour: Behaviour
    note: Callable[[str], None]

    def run(self, rounds: int) -> list[Score]:
        """All rounds; the scores in the order of the contestants."""
        scores = {one.name: Score(one.name, one.absent) for one in self.contestants}
        present = [one for one in self.contestants if not one.absent]
        with Upstream() as upstream:
            for number in range(rounds):
                first = number % len(present)
                for contestant in present[first:] + present[:first]:
                    score = scores[contestant.name]
                    if not score.absent:
                        self._lap(contestant, upstream, score)
        return list(scores.values())

    def _lap(self, contestant: Contestant, upstream: Upstream, score: Score) -> None:
        whole, lost = self._measure(contestant, upstream, self.work.items)
        one, _ = self._measure(contestant, upstream, 1)
        if lost == self.work.items:
            score.absent = f"delivered nothing: {_last_line(whole)}"
            return
        lap = Lap(whole, one, self.work.items, lost)
        score.laps.append(lap)
        self.note(f"  {contestant.name}: {lap.rate:,.0f}/s, {lap.cpu * 1000:.2f} ms of CPU each, {lost} lost")

    def _measure(self, contestant: Contestant, upstream: Upstream, items: int) -> tuple[Usage, int]:
        with empty_folder() as folder:
            work = replace(
                self.work, base=upstream.base, pictures=upstream.pictures, items=items, folder=str(folder / "delivered")
            )
            (folder / "delivered").mkdir()
            command = contestant.prepare(work)
            upstream.behave(contestant.behaviour or self.behaviour)
            usage = measure(command, folder / "log", contestant.environ)
            return usage, (contestant.judge or self.judge)(work)


def _last_line(usage: Usage) -> str:
    return f"exit code {usage.exit_code}, {one_line(usage.said)}"
