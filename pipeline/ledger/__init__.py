"""What was asked, what was paid for, and what became of it."""

from pipeline.ledger.reading import CHECKS, ELSEWHERE, LedgerReader
from pipeline.ledger.rows import Attempt, Books, ImageRow, Known, Recipe
from pipeline.ledger.writing import Ledger

__all__ = ["CHECKS", "ELSEWHERE", "Attempt", "Books", "ImageRow", "Known", "Ledger", "LedgerReader", "Recipe"]
