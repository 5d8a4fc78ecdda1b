"""When to try again, and when to stop: tenacity's room.

Only what can succeed and was not paid for is tried again freely. What may have been paid for is not tried again here:
the vendor's log is asked first (`run.reconcile`). A 429 is no attempt: its pause is everybody's (`limits.rate`), so
nobody backs off for it alone.
"""

import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import ParamSpec, TypeVar

import anyio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, retry_if_exception_type

from pipeline.errors import (
    DownloadBroken,
    MaybeBilled,
    NoPicture,
    NotSent,
    ProviderUnavailable,
    RateLimited,
    StorageFailed,
    TryAgain,
    Unavailable,
)
from pipeline.limits.policy import STANDARD, Policy
from pipeline.model import Limits
from pipeline.text import duration

_CHANCE = random.Random()

P = ParamSpec("P")
T = TypeVar("T")
Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


def full_jitter(number: int, rng: random.Random, policy: Policy = STANDARD) -> float:
    """Seconds to wait after failure `number`, counted from 1: anything from 0 to an exponentially growing bound.

    Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    return rng.uniform(0.0, min(policy.backoff_cap, policy.backoff_base * 2.0 ** min(number - 1, 16)))


class _History:
    """The failures of one request so far.

    Tenacity tells of each one first (`after`); `wait` and `stop` change nothing, so their order does not matter.
    """

    def __init__(self, limits: Limits, policy: Policy, rng: random.Random, clock: Clock) -> None:
        self._limits = limits
        self._policy = policy
        self._rng = rng
        self._clock = clock
        self._counted = 0
        self._empty = 0
        self._refused_since: float | None = None

    def after(self, state: RetryCallState) -> None:
        """Take note of a failure."""
        error = _error(state)
        if isinstance(error, RateLimited | Unavailable) and (error.retry_after or 0) > self._limits.patience:
            raise ProviderUnavailable(
                f"the API asks to come back in {duration(error.retry_after or 0)} ({error}), and limits.patience is "
                f"{duration(self._limits.patience)}; everything so far is recorded, the next run goes on from here"
            )
        if isinstance(error, RateLimited) or (isinstance(error, NotSent) and error.local):
            self._check_patience(error)
            return
        self._refused_since = None
        if not isinstance(error, NotSent | Unavailable) or error.counted:
            self._counted += 1
        self._empty += isinstance(error, NoPicture)

    def _check_patience(self, error: RateLimited | NotSent) -> None:
        now = self._clock()
        if self._refused_since is None:
            self._refused_since = now
        refused_for = now - self._refused_since
        if refused_for <= self._limits.patience:
            return
        if isinstance(error, RateLimited):
            raise ProviderUnavailable(
                f"the API has answered 429 for {duration(refused_for)} ({error}): lower limits.requests_per_minute, "
                "or run again later; everything so far is recorded"
            )
        raise StorageFailed(f"for {duration(refused_for)} {error}: raise `ulimit -n`, or lower limits.concurrency")

    def stop(self, _state: RetryCallState) -> bool:
        """Whether no further attempt is to be made."""
        # A paid answer without a picture may have been bad luck once, never twice.
        return self._counted >= self._limits.attempts or self._empty > 1

    def wait(self, state: RetryCallState) -> float:
        """Seconds until the next attempt."""
        error = _error(state)
        if isinstance(error, RateLimited):
            return 0.0
        asked = error.retry_after if isinstance(error, Unavailable) else None
        return max(full_jitter(max(self._counted, 1), self._rng, self._policy), asked or 0.0)


class RetryBudget:
    """Keeps the retries of a whole run from adding to a provider's troubles: at a tenth of its requests, by and by.

    The token bucket of gRPC's retry throttling (gRFC A6: 10 tokens, 0.1 back for each success), taken from by each
    retry as in the AWS SDKs' retry quota. What may not be tried again just now waits instead of failing, and tokens
    also come back with time.
    """

    def __init__(self, policy: Policy = STANDARD, *, clock: Clock = time.monotonic, sleep: Sleep = anyio.sleep) -> None:
        self._policy = policy
        self._tokens = policy.retry_tokens
        self._at = clock()
        self._clock = clock
        self._sleep = sleep
        self._line = anyio.Lock()

    def succeeded(self) -> None:
        """A request went well."""
        self._tokens = min(self._policy.retry_tokens, self._tokens + self._policy.retry_tokens_a_success)

    async def turn(self) -> None:
        """Wait until something may be tried again, first come first served."""
        async with self._line:
            self._refill()
            while self._tokens < 1.0:
                await self._sleep((1.0 - self._tokens) * self._policy.retry_token_every)
                self._refill()
            self._tokens -= 1.0

    def _refill(self) -> None:
        now = self._clock()
        self._at, elapsed = now, now - self._at
        self._tokens = min(self._policy.retry_tokens, self._tokens + elapsed / self._policy.retry_token_every)


class Attempts:
    """Attempts by tenacity's rules. Nearly every first attempt succeeds: only a failure builds what counts them."""

    def __init__(self, on: Callable[[BaseException], bool], rules: Callable[[], AsyncRetrying]) -> None:
        """`on`: what is tried again; `rules`: makes the rules, once there is such a failure."""
        self._on = on
        self._rules = rules

    async def __call__(self, attempt: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `attempt` as often as the rules allow; its result, or its last error."""
        failed: list[Exception] = []
        try:
            return await attempt(*args, **kwargs)
        except Exception as error:
            if not self._on(error):
                raise
            failed.append(error)

        async def again(*args: P.args, **kwargs: P.kwargs) -> T:
            # To tenacity the first failure is the first attempt.
            if failed:
                raise failed.pop()
            return await attempt(*args, **kwargs)

        return await self._rules()(again, *args, **kwargs)


def asking(
    limits: Limits,
    policy: Policy = STANDARD,
    *,
    sleep: Sleep,
    rng: random.Random | None = None,
    clock: Clock = time.monotonic,
) -> Attempts:
    """The attempts of one request to the API; the last error is raised when no more are to be made.

    | after | again | counted | wait |
    |---|---|---|---|
    | `NotSent`, `Unavailable` | up to `limits.attempts` in all | not in an outage | full jitter, or what it asks for |
    | `RateLimited` | for up to `limits.patience` without a break | no | none: the pause is everybody's |
    | too many open files here | the same | no | full jitter |
    | `NoPicture` | once | yes | full jitter |
    | `MaybeBilled` | no: the vendor's log is asked first | | |

    Raises:
        ProviderUnavailable: Nothing but 429 for longer than `limits.patience`, or an answer that asks for longer.
        StorageFailed: This machine has had too many files open for as long.
    """

    def rules() -> AsyncRetrying:
        history = _History(limits, policy, rng or random.Random(), clock)
        return AsyncRetrying(
            retry=retry_if_exception(_asked_again),
            after=history.after,
            wait=history.wait,
            stop=history.stop,
            sleep=sleep,
            reraise=True,
        )

    return Attempts(_asked_again, rules)


def _asked_again(error: BaseException) -> bool:
    return isinstance(error, TryAgain) and not isinstance(error, MaybeBilled)


def fetching(policy: Policy = STANDARD, *, sleep: Sleep, rng: random.Random | None = None) -> Attempts:
    """The attempts of one download in a row: a GET costs nothing, so there are more of them.

    A server that refuses is not asked as often as one that fails: what it says now it will say in a second. Whether
    its picture is waited for is not decided here, but by how old its URL is (`run.item`).
    """
    refused = 0

    def after(state: RetryCallState) -> None:
        nonlocal refused
        error = _error(state)
        refused = refused + 1 if isinstance(error, DownloadBroken) and error.refused else 0

    def stop(state: RetryCallState) -> bool:
        return state.attempt_number >= policy.fetches or refused >= policy.fetches_when_refused

    def wait(state: RetryCallState) -> float:
        error = _error(state)
        asked = error.retry_after if isinstance(error, DownloadBroken) else None
        return max(full_jitter(state.attempt_number, rng or _CHANCE, policy), min(asked or 0.0, policy.backoff_cap))

    def rules() -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception_type(DownloadBroken), after=after, stop=stop, wait=wait, sleep=sleep, reraise=True
        )

    return Attempts(lambda error: isinstance(error, DownloadBroken), rules)


def once() -> Attempts:
    """A single attempt, whatever comes of it."""
    return Attempts(lambda _: False, AsyncRetrying)


def waits_for_fresh(policy: Policy = STANDARD, *, rng: random.Random | None = None) -> Iterator[float]:
    """Seconds from one try to the next of a picture that is paid for and not there yet: ever longer, up to a minute.

    They add up to `policy.fresh_patience`.
    """
    left, step = policy.fresh_patience, policy.backoff_base * 4
    while left > 0:
        pause = min((rng or _CHANCE).uniform(0.5, 1.0) * step, left)
        yield pause
        left, step = left - pause, min(step * 2, policy.backoff_cap)


def _error(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    assert error is not None, "tenacity asks only after a failure"
    return error
