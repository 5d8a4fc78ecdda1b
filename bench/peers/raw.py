"""Below the floor: bare sockets, a buffer for each worker, and just as much HTTP as the bench's own server speaks.

Nobody should write a client like that; it tells what of a library's cost another one could save. It has the duties of
this program but for its ledger: a connection for each request to the API, and each picture hashed, checked and put on
the disk.
"""

import asyncio
import hashlib
import json
import os
import re
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from bench.assignment import Assignment, received
from bench.peers.png_walk import PngWalk

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Connection:
    """A connection to the host of one URL, and its buffer."""

    def __init__(self, url: str, size: int) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._buffer = bytearray(size)
        self._socket: socket.socket | None = None

    async def send(self, request: bytes) -> None:
        """Send a request, over a new connection where none is open."""
        loop = asyncio.get_running_loop()
        if self._socket is None:
            self._socket = socket.socket()
            self._socket.setblocking(False)
            await loop.sock_connect(self._socket, self._address)
        await loop.sock_sendall(self._socket, request)

    async def receive(self, take: Callable[[memoryview], None]) -> None:
        """The body of the answer, as it comes."""
        assert self._socket is not None
        loop, head, left = asyncio.get_running_loop(), b"", -1
        view = memoryview(self._buffer)
        while left:
            size = await loop.sock_recv_into(self._socket, self._buffer)
            if not size:
                raise ConnectionError("closed in the middle of an answer")
            piece = view[:size]
            if left < 0:
                before, head = len(head), head + bytes(piece)
                end = head.find(b"\r\n\r\n")
                found = _LENGTH.search(head, 0, end)
                if end < 0 or found is None:
                    continue
                left, piece = int(found[1]), piece[end + 4 - before :]
            take(piece)
            left -= len(piece)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Worker:
    """One of those in flight."""

    def __init__(self, assignment: Assignment, urls: list[str]) -> None:
        self.assignment = assignment
        self.urls = urls
        self.api = Connection(assignment.endpoint, 64 * 1024)
        self.cdn = Connection(assignment.pictures, 256 * 1024)

    async def ask(self, number: int) -> str:
        """One request, over a connection of its own; the URL in its answer."""
        body = json.dumps(self.assignment.body(number)).encode()
        parts = urlsplit(self.assignment.endpoint)
        head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        answer = bytearray()
        await self.api.send(f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await self.api.receive(answer.extend)
        self.api.close()
        url: str = json.loads(answer)["data"][0]["url"]
        self.urls.append(url)
        return url

    async def fetch(self, url: str) -> None:
        """One picture into its file, whole and on the disk."""
        parts = urlsplit(url)
        digest, walk = hashlib.sha256(), PngWalk()
        descriptor = os.open(self.assignment.path(url), os.O_WRONLY | os.O_CREAT, 0o666)

        def take(piece: memoryview) -> None:
            os.write(descriptor, piece)
            digest.update(piece)
            walk.feed(piece)

        await self.cdn.send(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        await self.cdn.receive(take)
        if not walk.whole:
            raise ValueError(f"{url} is not whole")
        await asyncio.to_thread(os.fsync, descriptor)
        os.close(descriptor)


class Work:
    """One assignment, done by as many workers as it may have in flight."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.urls: list[str] = []
        self.workers = [Worker(assignment, self.urls) for _ in range(assignment.in_flight)]
        self.numbers = iter(range(assignment.items))
        self.fetched: asyncio.Queue[str | None] = asyncio.Queue(assignment.in_flight)

    async def run(self) -> None:
        """All of it."""
        task = self.assignment.task
        do = {"ask": self._ask, "fetch": self._fetch, "both": self._both}[task]
        async with asyncio.TaskGroup() as group:
            for worker in self.workers:
                group.create_task(do(worker))
                if task == "both":
                    group.create_task(self._fetch_asked(worker))

    async def _ask(self, worker: Worker) -> None:
        for number in self.numbers:
            await worker.ask(number)

    async def _fetch(self, worker: Worker) -> None:
        for number in self.numbers:
            await worker.fetch(self.assignment.url(number))

    async def _both(self, worker: Worker) -> None:
        for number in self.numbers:
            await self.fetched.put(await worker.ask(number))
        # One end for each of those that fetch; what others have still to ask for is fetched by their own.
        await self.fetched.put(None)

    async def _fetch_asked(self, worker: Worker) -> None:
        while (url := await self.fetched.get()) is not None:
            await worker.fetch(url)


async def main(assignment: Assignment) -> None:
    """Do the assignment: `ask`, `fetch` or `both`."""
    work = Work(assignment)
    await work.run()
    if assignment.task == "ask":
        assignment.hand_in(work.urls)


if __name__ == "__main__":
    asyncio.run(main(received()))
