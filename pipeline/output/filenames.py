"""Which file bears which name: nothing that was paid for, and nothing of the user's, is ever overwritten for good.

When a prompt changes, the new picture takes the old one's name. The old file is first kept aside by a hard link under
`.pipeline/replaced/`, so that it stays in its place until the new one is there, and comes back at no cost when the
prompt is changed back.
"""

import weakref
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import anyio
import anyio.to_thread

from pipeline.ledger import ImageRow, Ledger
from pipeline.model import Item, SavedImage
from pipeline.output.local import OutputFolder

SUFFIXES = (".png", ".jpg", ".webp")


def obstacles(store: OutputFolder, item: Item, indexes: Iterable[int]) -> Iterator[str]:
    """What stands where images of an item are to land, with any suffix, and is neither a file nor a link to one.

    Raises:
        StorageFailed: The disk would not say.
    """
    for index in indexes:
        for path in (item.stem(index) + suffix for suffix in SUFFIXES):
            if found := store.obstacle(path):
                yield f"{store.root / path} is {found}"


class FileNamer:
    """Gives each image of the job its name in the output folder.

    Files are hashed, linked and made durable in worker threads: the event loop goes on meanwhile, and images of
    different names wait neither for each other nor each for a flush of the disk of its own.

    Attributes:
        renamed: Files that got another name because the job wants it.
    """

    def __init__(self, store: OutputFolder, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger
        # A lock is dropped as soon as nobody holds it or waits for it.
        self._locks: weakref.WeakValueDictionary[str, anyio.Lock] = weakref.WeakValueDictionary()
        self._kept: set[str] = set()
        self.renamed = 0

    async def archive_existing(self, item: Item, index: int) -> None:
        """Keep aside whatever bears the name that this image is about to take.

        Raises:
            StorageFailed: It can't be kept.
        """
        # Nearly always the name is free, and then there is nothing that could be done twice.
        if self._takers(item, index):
            async with self._alone_with(item.stem(index)):
                await self._make_room(item, index)

    def _takers(self, item: Item, index: int) -> list[str]:
        """What bears the name of an image, with any suffix."""
        stem = item.stem(index)
        return [path for suffix in SUFFIXES if self._store.exists(path := stem + suffix)]

    async def _make_room(self, item: Item, index: int) -> None:
        for path in self._takers(item, index):
            kept = await anyio.to_thread.run_sync(self._store.keep_aside, path)
            self._kept.add(path)
            for row in self._ledger.at_path(path):
                if (row.key, row.idx) != (item.key, index):
                    await self._ledger.moved(row, kept, row.mtime_ns)

    async def rename(self, item: Item, row: ImageRow) -> None:
        """Give a sound image that is on the disk under another name the name that the job wants now.

        Raises:
            StorageFailed: It can't be renamed.
        """
        path = row.path
        while path is not None:
            async with self._alone_with(item.stem(row.idx), _stem_of(path)):
                # Renaming another image may have moved this one meanwhile; then its name now is the one to lock.
                row = self._ledger.images(row.key).get(row.idx, row)
                if row.path == path:
                    # Seen through once begun: cut off, it would leave the picture under both names.
                    with anyio.CancelScope(shield=True):
                        await self._rename(item, row, path)
                    return
            path = row.path

    async def _rename(self, item: Item, row: ImageRow, old: str) -> None:
        await self._make_room(item, row.idx)
        new = item.stem(row.idx) + old[old.rindex(".") :]
        # The old name goes last: at each moment the ledger names a file that is there.
        await anyio.to_thread.run_sync(self._store.link, old, new)
        await self._ledger.renamed(item, row, new)
        await anyio.to_thread.run_sync(self._store.remove, old)
        self.renamed += 1
        self.drop_archived(item, row.idx, new)

    @asynccontextmanager
    async def _alone_with(self, *stems: str) -> AsyncIterator[None]:
        """Nobody else keeps aside or renames what has one of these names; always locked in the same order."""
        async with AsyncExitStack() as stack:
            for stem in sorted(set(stems)):
                await stack.enter_async_context(self._locks.setdefault(stem, anyio.Lock()))
            yield

    def drop_archived(self, item: Item, index: int, path: str) -> None:
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


def _stem_of(path: str) -> str:
    """A path without its suffix."""
    return path.rpartition(".")[0]
