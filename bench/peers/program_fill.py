"""Fills an output folder with what a finished job leaves there, through the ledger's own methods; it is not measured.

The pictures are links to a few files: a million different ones would only show how fast the disk is.
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from bench.upstream.pictures import tiny
from pipeline import job as jobfile
from pipeline.clock import utc_now
from pipeline.ledger import ImageRow, Ledger
from pipeline.model import Item
from pipeline.output.local import OutputFolder
from pipeline.run.workspace import LEDGER

AT_ONCE = 10_000
"""Items that share a commit."""

LINKS = 50_000
"""Names of one file: most file systems allow no more than 65,000."""

ANSWER = b'{"created": 1, "data": [{"url": "http://127.0.0.1/img/0000000.png"}]}'


class Filler:
    """Writes the rows and the files of finished items."""

    def __init__(self, ledger: Ledger, store: OutputFolder) -> None:
        self.ledger = ledger
        self.store = store
        self.at = utc_now()
        self.picture = tiny().head(0) + tiny().tail

    async def fill(self, items: list[Item]) -> None:
        """Finish these items."""
        for row in await asyncio.gather(*map(self.paid, items)):
            self.link(row)
        await asyncio.gather(*map(self.saved, items))

    async def paid(self, item: Item) -> str:
        """An item's attempt, paid for; the name of its file."""
        attempt = f"fill.{item.key[:24]}"
        await self.ledger.intend(attempt, "fill", item, [0], 100, self.at)
        await self.ledger.paid(attempt, self.at, status=200, answer=ANSWER, inference_id="fill", made_by=None)
        self.ledger.understood(attempt, 1, 100, None)
        return f"{item.stem(0)}.png"

    def link(self, name: str, made: "itertools.count[int]" = itertools.count()) -> None:  # noqa: B008
        """A file of this name: one of many names of one picture."""
        number = next(made)
        source = self.store.state / f"picture-{number // LINKS}"
        if number % LINKS == 0:
            source.write_bytes(self.picture)
        os.link(source, self.store.root / name)

    async def saved(self, item: Item) -> None:
        """The row of an item's picture."""
        path = f"{item.stem(0)}.png"
        row = ImageRow(
            key=item.key,
            idx=0,
            item=item.id,
            state="saved",
            created_at=self.at,
            attempts=1,
            attempt=f"fill.{item.key[:24]}",
            path=path,
            mime_type="image/png",
            bytes=len(self.picture),
            sha256="0" * 64,
            width=1,
            height=1,
            mtime_ns=self.store.mtime_ns(path),
            url="http://127.0.0.1/img/0000000.png",
        )
        await self.ledger.saved(item, row)


async def main(path: Path) -> None:
    """Fill the output folder of the job at `path`."""
    job = jobfile.load(path)
    with OutputFolder(job.output) as store, Ledger(store.state / LEDGER) as ledger:
        filler = Filler(ledger, store)
        ledger.start_run("fill", filler.at, job.endpoint)
        items = jobfile.expand(job)
        while some := list(itertools.islice(items, AT_ONCE)):
            await filler.fill(some)
        ledger.end_run("fill", filler.at, 0)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
