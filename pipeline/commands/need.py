"""How much there is to do, counted before any of it is done."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pipeline import models
from pipeline.model import Claim, Item
from pipeline.plan import Decision
from pipeline.signed import expires_at


@dataclass(slots=True)
class Need:
    """What a run is going to need.

    Attributes:
        sandbox: Whether the sandbox makes the pictures.
        images: Images to ask for or to download.
        asked: Of these, how many are asked for.
        tokens: What asking for them costs by list price.
        renames: Sound files that must bear another name.
        expiring: Pictures that are paid for and whose URL says when it ends, with that, in seconds since the epoch.
    """

    sandbox: bool
    images: int = 0
    asked: int = 0
    tokens: int = 0
    renames: int = 0
    expiring: list[tuple[float, Claim]] = field(default_factory=list)
    _to_do: bytearray = field(default_factory=bytearray)

    def add(self, decision: Decision) -> None:
        """Count one decision; they are told in the job's order."""
        self._to_do.append(bool(decision.images_to_make or decision.rename))
        self.images += decision.images_to_make
        self.renames += len(decision.rename)
        asked = len(decision.ask) + sum(len(doubt.request.indexes) for doubt in decision.doubts)
        self.asked += asked
        self.tokens += asked * (models.of(decision.item.model).price or 0)
        for claim in decision.fetch:
            until = expires_at(claim.image.url or "")
            if until is not None:
                self.expiring.append((until, claim))

    def of(self, items: Iterable[Item]) -> Iterator[Item]:
        """Those of the job's items about which there was something to do."""
        return itertools.compress(items, self._to_do)
