"""What the handlers of one sandbox share: its request log, its behaviour, its clock and its painters."""

import math
import os
import random
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from pipeline.model import CREDITS_PER_USD
from sandbox.behaviour import Behaviour, FaultPlan, bucket
from sandbox.orders import Refusal
from sandbox.painter import Painting, paint
from sandbox.request_log import RequestLog

PICTURES_KEPT = 16
"""Painted pictures kept in memory, for downloads that come in parts or again."""


class SandboxState:
    """Shared by the API and the CDN of one sandbox.

    Attributes:
        request_log: What was asked and billed.
        key: The only key that is accepted, or None for any.
        balance: Dollars of credit to begin with.
        clock: Seconds since the epoch.
        chance: Draws seeds and jitter.
        cdn_base: Where pictures are served, known once the CDN listens.
    """

    def __init__(
        self,
        request_log: RequestLog,
        *,
        behaviour: Behaviour,
        key: str | None,
        balance: float,
        clock: Callable[[], float],
    ) -> None:
        self.request_log = request_log
        self.key = key
        self.balance = balance
        self.clock = clock
        self.chance = random.Random()
        self.cdn_base = ""
        self._painters = anyio.CapacityLimiter(os.cpu_count() or 1)
        self._painted: OrderedDict[Painting, bytes] = OrderedDict()
        self._in_work = 0
        self.behave(behaviour)

    def behave(self, behaviour: Behaviour) -> None:
        """Behave like this from now on; counts of faults and the bucket start anew."""
        self.behaviour = behaviour
        self.fault_plan = FaultPlan(behaviour.faults, behaviour.seed)
        self._jitter = random.Random(behaviour.seed)
        self._bucket = bucket(behaviour, self.clock())

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold one of the places in work.

        Raises:
            Refusal: 429: too fast, or too many at once.
        """
        limit = self.behaviour.concurrency
        if limit is not None and self._in_work >= limit:
            raise self._limited(f"Too many concurrent requests: {limit} at once are allowed", 1.0)
        wait = self._bucket.take(self.clock()) if self._bucket else 0.0
        if wait:
            raise self._limited("Rate limit exceeded, try again later", wait)
        self._in_work += 1
        try:
            yield
        finally:
            self._in_work -= 1

    def _limited(self, message: str, wait: float) -> Refusal:
        asked = self.behaviour.retry_after
        return Refusal(429, message, retry_after=str(math.ceil(wait)) if asked == "auto" else asked)

    async def work(self) -> None:
        """Take as long as a generation takes."""
        seconds = self.behaviour.latency + self._jitter.random() * self.behaviour.latency_jitter
        if seconds:
            await anyio.sleep(seconds)

    @property
    def credits_left(self) -> int:
        """What is left of the balance."""
        return round(self.balance * CREDITS_PER_USD) - self.request_log.billed_credits()

    def new_path(self, picture: Painting) -> str:
        """A path that no picture had before, in the vendor's style."""
        suffix = picture.mime_type.rpartition("/")[2].replace("jpeg", "jpg")
        return f"/generations/guepard/{self.clock() * 1000:.0f}-{uuid.uuid4()}.{suffix}"

    def current_url(self, url: str) -> str:
        """The URL with this sandbox's CDN, if it was handed out by any sandbox with this log; else unchanged."""
        parts = urlsplit(url)
        if self.request_log.picture(parts.path) is None:
            return url
        return f"{self.cdn_base}{parts.path}?{parts.query}".removesuffix("?")

    async def painted(self, picture: Painting) -> bytes:
        """The picture as a file, painted in a thread if it is not at hand."""
        data = self._painted.get(picture)
        if data is None:
            data = await anyio.to_thread.run_sync(paint, picture, limiter=self._painters)
            self._painted[picture] = data
            if len(self._painted) > PICTURES_KEPT:
                self._painted.popitem(last=False)
        self._painted.move_to_end(picture)
        return data
