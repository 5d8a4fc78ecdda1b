"""How the sandbox is told to misbehave, and the deciding of whose turn it is."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from pipeline.errors import UsageError
from sandbox.kinds import KINDS

OK = "ok"


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave, and when.

    Attributes:
        kind: One of `KINDS`; those that begin with `cdn-` are for downloads, the others for generations.
            A tuple is a script: the first matching request meets its first kind, the next one its second, and so on;
            after its last everything works. Its `cdn-` kinds count downloads in the same way, by themselves. `ok` and
            `cdn-ok` stand for a request that goes well.
        probability: How likely a matching request is struck, 0 to 1. A script ignores it.
        match: Only requests whose prompt contains this text; None for all.
        times: Strike at most this often; None for ever. A script ignores it.
        billed: Whether a struck generation request is billed; None for what its kind does by itself.
        retry_after: The `Retry-After` header of a 429 or 5xx answer, as it is to be sent; None for none.
        message: The message of an error in the vendor's form; None for the sandbox's own.

    Raises:
        UsageError: A kind is unknown, or the probability is none.
    """

    kind: str | tuple[str, ...]
    probability: float = 1.0
    match: str | None = None
    times: int | None = None
    billed: bool | None = None
    retry_after: str | None = None
    message: str | None = None

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                near = get_close_matches(kind, KINDS, 1)
                cure = f"did you mean {near[0]!r}?" if near else "`sandbox --kinds` lists them"
                raise UsageError(f"unknown kind of fault {kind!r}: {cure}")
        if not 0 <= self.probability <= 1:
            raise UsageError(f"the probability of a fault is between 0 and 1, found {self.probability!r}")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Its kind, or all the steps of its script."""
        return (self.kind,) if isinstance(self.kind, str) else self.kind


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the sandbox behaves. The default is: at once, without limits, and without fault.

    Attributes:
        latency: Seconds from accepting a request to answering it.
        latency_jitter: Up to this many seconds more, at random.
        requests_per_minute: Rate at which a token bucket lets generation requests in; None for no limit.
        burst: Requests that the bucket holds when full; None for one second's worth, at least 1.
        concurrency: Generation requests in work at once, at most; None for no limit.
        retry_after: `Retry-After` of the 429 answers of both limits, as it is to be sent; `"auto"` for the seconds
            until the next request is let in, rounded up; None for none.
        booking_delay: Seconds until a request shows up in the logs and transactions, as with the vendor.
        faults: Tried in their order; the first one that strikes decides.
        seed: Seed of everything random here; requests that arrive in the same order meet the same faults.
    """

    latency: float = 0.0
    latency_jitter: float = 0.0
    requests_per_minute: float | None = None
    burst: float | None = None
    concurrency: int | None = None
    retry_after: str | None = "auto"
    booking_delay: float = 0.0
    faults: tuple[Fault, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """The fault that one request gets, and as which kind."""

    kind: str
    fault: Fault


class FaultPlan:
    """Decides which fault each request gets, in order, under one behaviour."""

    def __init__(self, faults: Iterable[Fault], seed: int) -> None:
        self._chance = random.Random(seed)
        self._open = [(fault, _steps(fault, cdn=False), _steps(fault, cdn=True)) for fault in faults]
        self._struck: dict[tuple[int, bool], int] = {}

    def next_fault(self, prompt: str, *, cdn: bool) -> InjectedFault | None:
        """The fault of the next request with this prompt, or None when it goes well."""
        for number, (fault, *sides) in enumerate(self._open):
            steps = sides[cdn]
            if not steps or (fault.match is not None and fault.match not in prompt):
                continue
            struck = self._struck.get((number, cdn), 0)
            if isinstance(fault.kind, tuple):
                kind = steps[struck] if struck < len(steps) else OK
                self._struck[number, cdn] = struck + 1
            else:
                kind = self._draw(fault, struck)
                self._struck[number, cdn] = struck + (kind != OK)
            if kind not in (OK, f"cdn-{OK}"):
                return InjectedFault(kind, fault)
        return None

    def _draw(self, fault: Fault, struck: int) -> str:
        if fault.times is not None and struck >= fault.times:
            return OK
        return fault.kinds[0] if self._chance.random() < fault.probability else OK


def _steps(fault: Fault, *, cdn: bool) -> tuple[str, ...]:
    return tuple(kind for kind in fault.kinds if kind.startswith("cdn-") == cdn)


class Bucket:
    """A token bucket: `burst` requests at once, refilled at an even rate.

    Attributes:
        rate: Tokens a second.
        burst: Tokens when full.
    """

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> float:
        """Take a token; 0.0 when there was one, otherwise the seconds until there will be."""
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens >= 1 - 1e-9:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self.rate


def bucket(behaviour: Behaviour, now: float) -> Bucket | None:
    """The bucket of a behaviour, full, or None where it sets no rate."""
    if behaviour.requests_per_minute is None:
        return None
    rate = behaviour.requests_per_minute / 60
    return Bucket(rate, behaviour.burst or max(1.0, rate), now)
