"""The way of one item, from its turn to its record."""

from pipeline.produce.ask import ROOM, Asker
from pipeline.produce.evidence import seconds_of
from pipeline.produce.fetch import Producer
from pipeline.produce.lookup import Lookup
from pipeline.produce.settle import SETTLE, SETTLE_IN_SANDBOX, Settler
from pipeline.produce.tally import Tally

__all__ = ["ROOM", "SETTLE", "SETTLE_IN_SANDBOX", "Asker", "Lookup", "Producer", "Settler", "Tally", "seconds_of"]
