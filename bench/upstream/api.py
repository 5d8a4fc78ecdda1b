"""The API: every POST is answered from prebuilt bytes, after a latency and within a rate limit where told so."""

import asyncio
import base64
import json
import random
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.upstream.limit import Bucket, retry_after
from bench.upstream.pictures import tiny

CONTROL = b"/control"
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:\s*close", re.IGNORECASE)
_PROMPT = re.compile(rb"picture (\d{7})")


@dataclass(slots=True)
class Behaviour:
    """How the API behaves until it is told otherwise.

    Attributes:
        inline: Whether answers hold a tiny picture as base64 instead of a URL.
        latency: Seconds before an answer, on average.
        jitter: Seconds by which it may be shorter or longer.
        per_minute: Requests accepted in a minute; 0: all.
        burst: Requests accepted at once.
    """

    inline: bool = False
    latency: float = 0.0
    jitter: float = 0.0
    per_minute: float = 0.0
    burst: float = 10.0


@dataclass(slots=True)
class Books:
    """What has happened since the last change of behaviour.

    Attributes:
        accepted: Seconds of each accepted request after the first request of all.
        numbers: How often each item was accepted.
        refused: The same of each request that was answered with 429.
        pictures: GETs of pictures.
        first: When the first request came, in seconds of this machine's monotonic clock, or None.
    """

    accepted: list[float] = field(default_factory=list)
    numbers: "Counter[int]" = field(default_factory=Counter)
    refused: list[float] = field(default_factory=list)
    pictures: int = 0
    first: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it; of the numbers only how many there are, and how often one was asked for again."""
        numbers = {"different": len(self.numbers), "again": self.numbers.total() - len(self.numbers)}
        return {**asdict(self), "numbers": numbers}


class Api:
    """All connections' state."""

    def __init__(self, pictures: str, clock: Any) -> None:
        self.pictures = pictures
        self.clock = clock
        self.reset(Behaviour())

    def reset(self, behaviour: Behaviour) -> None:
        """Begin anew, with empty books."""
        self.behaviour = behaviour
        self.books = Books()
        self._random = random.Random(7)
        self._bucket = Bucket(behaviour.per_minute, behaviour.burst) if behaviour.per_minute else None
        self._answer = _inline() if behaviour.inline else _linked(self.pictures)

    def answer(self, body: bytes) -> tuple[bytes, float]:
        """The answer to a POST with this body, and how many seconds it takes."""
        now = self.clock()
        books, behaviour = self.books, self.behaviour
        if books.first is None:
            books.first = now
        wait = self._bucket.take(now) if self._bucket else 0.0
        if wait:
            books.refused.append(now - books.first)
            return _refusal(retry_after(wait)), 0.0
        found = _PROMPT.search(body)
        number = int(found[1]) if found else 0
        books.numbers[number] += 1
        books.accepted.append(now - books.first)
        delay = behaviour.latency and behaviour.latency + self._random.uniform(-behaviour.jitter, behaviour.jitter)
        return self._answer(number), delay

    def control(self, method: bytes, body: bytes) -> bytes:
        """What the benchmark asks: a PUT sets the behaviour, a GET reads the books."""
        if method == b"PUT":
            self.reset(Behaviour(**json.loads(body)))
        return message(b"200 OK", json.dumps(self.books.as_dict()).encode())


def message(status: bytes, body: bytes, headers: bytes = b"") -> bytes:
    """A whole HTTP answer with a JSON body."""
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n"
    return head % (status, len(body), headers) + body


def _refusal(seconds: int) -> bytes:
    body = b'{"message": "too many requests", "requestId": "bench", "statusCode": 429}'
    return message(b"429 Too Many Requests", body, b"Retry-After: %d\r\n" % seconds)


def _linked(pictures: str) -> Any:
    """Makes the answer that names an item's picture by its URL."""
    found = {"created": 1, "data": [{"url": f"{pictures}/NUMBER.png"}], "meta": {"usage": {"credits_used": 100}}}
    before, after = json.dumps(found).encode().replace(b"NUMBER", b"0000000").split(b"0000000")
    head, _, _ = message(b"200 OK", before + b"0000000" + after, b"x-inference-id: bench\r\n").partition(before)
    return lambda number: b"%b%b%07d%b" % (head, before, number, after)


def _inline() -> Any:
    """Makes the answer that holds an item's tiny picture."""

    def answer(number: int) -> bytes:
        picture = tiny().head(number) + tiny().tail
        found = {"created": 1, "data": [{"b64_json": base64.b64encode(picture).decode()}]}
        return message(b"200 OK", json.dumps(found).encode(), b"x-inference-id: bench\r\n")

    return answer


class Connection(asyncio.Protocol):
    """One connection, kept alive until its client says otherwise."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by asyncio: answer every request that is whole by now."""
        self._buffer += data
        while (end := self._buffer.find(_HEAD_END)) >= 0:
            head = self._buffer[: end + 2]
            length = _LENGTH.search(head)
            stop = end + len(_HEAD_END) + (int(length[1]) if length else 0)
            if len(self._buffer) < stop:
                return
            body, self._buffer = self._buffer[end + len(_HEAD_END) : stop], self._buffer[stop:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        method, path, _ = head.split(b" ", 2)
        if path == CONTROL:
            answer, delay = self._api.control(method, body), 0.0
        else:
            answer, delay = self._api.answer(body)
        close = _CLOSE.search(head) is not None
        if delay:
            asyncio.get_running_loop().call_later(delay, self._send, answer, close)
        else:
            self._send(answer, close)

    def _send(self, answer: bytes, close: bool) -> None:
        assert self._transport is not None
        self._transport.write(answer)
        if close:
            self._transport.close()
