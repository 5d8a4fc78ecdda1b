"""Medians and ratios as tables: printed, and written to `RESULTS.md`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.contest import Score

INTRODUCTION = (
    "Written by `python -m bench`; do not edit. Ratios are the result: absolute times differ from machine to machine, "
    "and from hour to hour on a machine that does other things as well. Medians of the rounds; the spread is the "
    "difference between the slowest and the fastest round, as a part of the median. Start-up is not in what is told by "
    "the item: each contestant also does a single item, and what that takes is subtracted."
)

_HEADING = re.compile(r"^## (\w+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        title: Its heading.
        header: The names of its columns; all but the first hold numbers.
        rows: Its cells, as text.
        notes: What one must know to read it, each a paragraph below it.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def lines(self) -> Iterable[str]:
        """The table as Markdown, its columns aligned for whoever reads it as text."""
        cells = [list(self.header), *map(list, self.rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(self.header))]
        yield f"### {self.title}"
        yield ""
        yield _row(self.header, widths)
        yield "|" + "|".join("-" * (width + 1) + (":" if column else "-") for column, width in enumerate(widths)) + "|"
        yield from (_row(row, widths) for row in self.rows)
        for note in self.notes:
            yield ""
            yield note


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.rjust(width) if column else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "| " + " | ".join(padded) + " |"


def scores(
    title: str,
    found: Sequence[Score],
    *,
    floor: int = 0,
    per_gb: float | None = None,
    notes: Sequence[str] = (),
) -> Table:
    """A contest's table.

    Args:
        title: Its heading.
        found: The scores.
        floor: Which of them the ratios are to.
        per_gb: Gigabytes of an item, to show CPU by the gigabyte; None: by the item.
        notes: Below it.
    """
    base = found[floor]
    unit = "CPU s/GB" if per_gb else "CPU ms/item"
    scale = 1 / per_gb if per_gb else 1000.0
    header = ("", "items/s", "of the floor", unit, "x the floor", "peak MB", "spread", "lost")
    rows = [_score_row(score, base, scale) for score in found]
    return Table(title, header, rows, notes)


def _score_row(score: Score, base: Score, scale: float) -> Sequence[str]:
    if not score.laps:
        return (f"{score.name}: {score.absent}", *["-"] * 7)
    of_floor = f"{score.rate / base.rate:.2f}" if base.laps else "-"
    cpu_ratio = f"{score.cpu / base.cpu:.2f}" if base.laps else "-"
    return (
        score.name,
        number(score.rate),
        of_floor,
        f"{score.cpu * scale:.2f}",
        cpu_ratio,
        f"{score.peak / 1e6:.0f}",
        f"{score.spread:.0%}",
        f"{score.lost:,} LOST" if score.lost else "0",
    )


def number(value: float) -> str:
    """A number with as many digits as are worth reading."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def seconds(value: float) -> str:
    """Seconds, or milliseconds below one."""
    return f"{value:.1f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def section(tables: Sequence[Table], how: str) -> str:
    """A workload's section of `RESULTS.md`, below its heading; `how` it was measured."""
    lines = [how, ""]
    for table in tables:
        lines += [*table.lines(), ""]
    return "\n".join(lines)


def document(sections: Mapping[str, str], facts: Sequence[tuple[str, str]]) -> str:
    """The whole of `RESULTS.md`."""
    head = ["# Results", "", INTRODUCTION, "", *(f"- {name}: {value}" for name, value in facts), ""]
    return "\n".join([*head, *(f"## {name}\n\n{text}" for name, text in sections.items())])


def sections(text: str) -> dict[str, str]:
    """The sections of an earlier `RESULTS.md`: what is not measured again stays."""
    _, *found = _HEADING.split(text)
    return dict(zip(found[::2], (part.strip("\n") + "\n" for part in found[1::2]), strict=True))
