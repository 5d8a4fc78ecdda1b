"""What was asked, what was paid for, and what became of it."""

from pipeline.ledger.reading import LedgerReader
from pipeline.ledger.rows import Attempt, ImageRow, Recipe
from pipeline.ledger.writing import Ledger

__all__ = ["Attempt", "ImageRow", "Ledger", "LedgerReader", "Recipe"]
