"""The way of one item, from its turn to its record."""

from pipeline.produce.ask import Asker, Tally
from pipeline.produce.fetch import Producer

__all__ = ["Asker", "Producer", "Tally"]
