"""The floor: aiohttp and nothing else. The same requests and the same files, with none of the promises.

Its options: `check` hashes each picture and walks its chunks, as anyone must who wants to know that it is whole;
`fsync` puts each file on the disk before it counts as delivered; `fresh` opens a connection for each request to the
API, as anyone must who wants to know whether it was sent.
"""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator

import aiohttp

from bench.assignment import Assignment, received
from bench.peers.png_walk import PngWalk


class Work:
    """One assignment, done by as many workers as it may have in flight."""

    def __init__(self, api: aiohttp.ClientSession, cdn: aiohttp.ClientSession, assignment: Assignment) -> None:
        self.api = api
        self.cdn = cdn
        self.assignment = assignment
        self.urls: list[str] = []
        self.fetching = asyncio.Semaphore(assignment.in_flight)

    async def ask(self, number: int) -> str:
        """One request; the URL in its answer."""
        async with self.api.post(self.assignment.endpoint, json=self.assignment.body(number)) as response:
            found = await response.json()
        url: str = found["data"][0]["url"]
        self.urls.append(url)
        return url

    async def fetch(self, url: str) -> None:
        """One picture into its file."""
        options = self.assignment.options
        digest, walk = hashlib.sha256(), PngWalk()
        async with self.cdn.get(url) as response:
            response.raise_for_status()
            descriptor = os.open(self.assignment.path(url), os.O_WRONLY | os.O_CREAT, 0o666)
            while piece := await response.content.readany():
                os.write(descriptor, piece)
                if "check" in options:
                    digest.update(piece)
                    walk.feed(piece)
        if "check" in options and not walk.whole:
            raise ValueError(f"{url} is not whole")
        if "fsync" in options:
            await asyncio.to_thread(os.fsync, descriptor)
        os.close(descriptor)

    async def both(self, number: int) -> None:
        """An item: its request, and its picture as soon as another request may take this one's place."""
        url = await self.ask(number)
        self._downloads.create_task(self._fetched(url))

    async def _fetched(self, url: str) -> None:
        async with self.fetching:
            await self.fetch(url)

    async def run(self) -> None:
        """All of it."""
        task = self.assignment.task
        do: Callable[[int], Awaitable[object]] = {"ask": self.ask, "fetch": self._fetch_number, "both": self.both}[task]
        numbers = iter(range(self.assignment.items))
        async with asyncio.TaskGroup() as self._downloads, asyncio.TaskGroup() as workers:
            for _ in range(self.assignment.in_flight):
                workers.create_task(_work(do, numbers))

    async def _fetch_number(self, number: int) -> None:
        await self.fetch(self.assignment.url(number))


async def _work(do: Callable[[int], Awaitable[object]], numbers: Iterator[int]) -> None:
    for number in numbers:
        await do(number)


def _session(*, force_close: bool = False) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0, force_close=force_close)
    return aiohttp.ClientSession(connector=connector, auto_decompress=False)


async def main(assignment: Assignment) -> None:
    """Do the assignment."""
    fresh = "fresh" in assignment.options
    async with _session(force_close=fresh) as api, _session() as cdn:
        work = Work(api, cdn, assignment)
        await work.run()
    if assignment.task == "ask":
        assignment.hand_in(work.urls)


if __name__ == "__main__":
    asyncio.run(main(received()))
