"""What was asked, what was paid for, and what became of it."""

from pipeline.ledger.reading import LedgerReader
from pipeline.ledger.refusals import ELSEWHERE
from pipeline.ledger.rows import Attempt, CostBreakdown, ImageRow, Known, Recipe
from pipeline.ledger.writing import Ledger

__all__ = ["ELSEWHERE", "Attempt", "CostBreakdown", "ImageRow", "Known", "Ledger", "LedgerReader", "Recipe"]
