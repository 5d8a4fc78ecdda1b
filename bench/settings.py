"""How much is measured."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one benchmark.

    Attributes:
        rounds: Of each contest; the median is reported.
        quick: Whether everything is small: to try the benchmark itself.
        sizes: Items of the jobs whose scale is measured.
        note: Told what is going on.
    """

    rounds: int
    quick: bool
    sizes: tuple[int, ...]
    note: Callable[[str], None]

    def items(self, number: int) -> int:
        """So many items, or a tenth of them to be quick."""
        return number // 10 if self.quick else number
