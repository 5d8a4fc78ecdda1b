"""Which file bears which name: nothing that was paid for, and nothing of the user's, is ever overwritten for good.

When a prompt changes, the new picture takes the old one's name. The old file is first kept aside by a hard link under
`.pipeline/replaced/`, so that it stays in its place until the new one is there, and comes back at no cost when the
prompt is changed back.
"""

from dataclasses import replace

import anyio

from pipeline.ledger import ImageRow, Ledger
from pipeline.model import Item, SavedImage
from pipeline.store import Store

SUFFIXES = (".png", ".jpg", ".webp")


class NameKeeper:
    """Gives each image of the job its name in the output folder.

    Attributes:
        renamed: Files that got another name because the job wants it.
    """

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger
        self._one_at_a_time = anyio.Lock()
        self._kept: set[str] = set()
        self.renamed = 0

    async def make_room(self, item: Item, index: int) -> None:
        """Keep aside whatever bears the name that this image is about to take.

        Raises:
            StorageFailed: It can't be kept.
        """
        # Nearly always the name is free, and then there is nothing that could be done twice.
        if self._takers(item, index):
            async with self._one_at_a_time:
                await self._make_room(item, index)

    def _takers(self, item: Item, index: int) -> list[str]:
        """What bears the name of an image, with any suffix."""
        stem = item.stem(index)
        return [path for suffix in SUFFIXES if self._store.exists(path := stem + suffix)]

    async def _make_room(self, item: Item, index: int) -> None:
        for path in self._takers(item, index):
            kept = self._store.keep_aside(path)
            self._kept.add(path)
            for row in self._ledger.at_path(path):
                if (row.key, row.idx) != (item.key, index):
                    await self._ledger.moved(row, kept, row.mtime_ns)

    async def rename(self, item: Item, row: ImageRow) -> None:
        """Give a sound image that is on the disk under another name the name that the job wants now.

        Raises:
            StorageFailed: It can't be renamed.
        """
        async with self._one_at_a_time:
            # Renaming another image may have moved this one meanwhile.
            row = self._ledger.images(row.key).get(row.idx, row)
            if row.path is None:
                return
            await self._make_room(item, row.idx)
            path = item.stem(row.idx) + row.path[row.path.rindex(".") :]
            # The old name goes last: at each moment the ledger names a file that is there.
            self._store.link(row.path, path)
            await self._ledger.renamed(item, row, path)
            self._store.remove(row.path)
            self.renamed += 1
            self.sweep(item, row.idx, path)

    def sweep(self, item: Item, index: int, path: str) -> None:
        """Remove what bears this image's name with another suffix, where it has been kept aside."""
        stem = item.stem(index)
        for other in (stem + suffix for suffix in SUFFIXES):
            if other in self._kept:
                self._kept.remove(other)
                if other != path:
                    self._store.remove(other)

    def saved_row(self, row: ImageRow, image: SavedImage) -> ImageRow:
        """The row of an image that has just been saved."""
        return replace(
            row,
            state="saved",
            path=image.path,
            mime_type=image.mime_type,
            bytes=image.bytes,
            sha256=image.sha256,
            width=image.width,
            height=image.height,
            mtime_ns=image.mtime_ns,
        )
