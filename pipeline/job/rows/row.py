"""One row of an included file."""

from dataclasses import dataclass
from typing import Any

from pipeline.model import Place


@dataclass(slots=True)
class Row:
    """One row of an included file: a `Source` of places. Never changed.

    Attributes:
        file: The file's name as errors show it.
        line: Where the row begins, counted from 1.
        cells: The columns and their values: text, a `Scalar`, or in `.jsonl` anything.
        text: Whether it is a line of plain text, the only cell.
        header: The line that names the columns; 0 where each row does that itself.
    """

    file: str
    line: int
    cells: dict[str, Any]
    text: bool = False
    header: int = 0

    def place(self, *_: str | int) -> Place:
        """The row; where in it a column stands is said by its name."""
        return Place(self.file, self.line)

    key_place = place

    def name(self, *path: str | int) -> str:
        """The column, and what of it."""
        column, *rest = path
        return f"column {column}" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)
