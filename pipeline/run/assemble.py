"""Open what a run with something to do needs, and wire it together. Imported only by such a run: it loads aiohttp."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urljoin

import anyio
import anyio.to_thread

from pipeline.download import Decode, Downloads
from pipeline.events import EndpointNoted, KeyUnencrypted, Listener
from pipeline.http import sessions
from pipeline.http.transport import PATH, Transport
from pipeline.ledger import Ledger
from pipeline.limits.admission import Admission
from pipeline.limits.breaker import CircuitBreaker
from pipeline.limits.budget import Budget, RetryPaidBudget, cap_of
from pipeline.limits.policy import STANDARD, Policy
from pipeline.limits.rate import ConcurrencyLimiter, RateLimiter
from pipeline.limits.stop import StopSignal
from pipeline.limits.unusable import UnusableStreak
from pipeline.model import Limits
from pipeline.output.filenames import FileNamer
from pipeline.output.local import OutputFolder
from pipeline.picture import Picture
from pipeline.providers import catalogue
from pipeline.providers.aimlapi.account import Account
from pipeline.run.attempt import Asker
from pipeline.run.billing_log import BillingLog
from pipeline.run.item import Producer
from pipeline.run.reconcile import Reconciler
from pipeline.settings import SANDBOX, Endpoint


async def wire(
    run: str,
    limits: Limits,
    planned: int,
    endpoint: Endpoint,
    store: OutputFolder,
    ledger: Ledger,
    stop: StopSignal,
    tell: Listener,
    stack: AsyncExitStack,
    check: str = "structure",
    policy: Policy = STANDARD,
) -> Producer:
    """A producer for one run; what it needs is closed by `stack`. `planned`: tokens that the whole run would cost.

    Raises:
        UsageError: The sandbox is asked for and its painter is not installed, or pictures are to be decoded and there
            is no decoder.
    """
    decode = _decode(stack) if check == "decode" else None
    base = endpoint.base_or_sandbox
    endpoint, locate = await start(endpoint, store.state / "sandbox", stack)
    api = await stack.enter_async_context(
        sessions.api_session(concurrency=limits.concurrency, timeout=limits.request_timeout, network=endpoint.network)
    )
    cdn = await stack.enter_async_context(
        sessions.cdn_session(downloads=limits.downloads, allow_private=endpoint.private, network=endpoint.network)
    )
    for said in endpoint.notes:
        tell(EndpointNoted(said))
    if endpoint.key and endpoint.base.startswith("http:") and not endpoint.private:
        tell(KeyUnencrypted(endpoint.base))
    https_only = endpoint.base.startswith("https:")
    budget = Budget(cap_of(limits))
    account, billing_lag = Account(api, endpoint, policy), billing_lag_of(limits, base, policy)
    reconciler = Reconciler(
        ledger=ledger,
        stop=stop,
        billing_log=BillingLog(base, ledger, account, budget, limits.request_timeout, tell, billing_lag, policy),
        lost_budget=RetryPaidBudget(limits.retry_paid_budget_usd, planned, dear=catalogue.dearest),
        tell=tell,
        billing_lag=billing_lag,
        on_unknown_outcome=limits.on_unknown_outcome,
        patience=limits.patience,
        policy=policy,
    )
    asker = Asker(
        run=run,
        limits=limits,
        ledger=ledger,
        stop=stop,
        admission=Admission(
            stop=stop,
            concurrency=ConcurrencyLimiter(limits.concurrency, adaptive=limits.requests_per_minute is None),
            budget=budget,
            rate=RateLimiter(limits.requests_per_minute),
            breaker=CircuitBreaker(limits.patience, policy),
        ),
        client=Transport(api, endpoint),
        base=endpoint.base,
        free_bytes=store.free_bytes,
        tell=tell,
        server=account.server,
        unusable=UnusableStreak(limits.unusable_answers),
        policy=policy,
    )
    return Producer(
        asker=asker,
        ledger=ledger,
        names=FileNamer(store, ledger),
        stop=stop,
        downloads=Downloads(cdn, store, max_bytes=limits.max_image_bytes, https_only=https_only, decode=decode),
        resolve_url=locate,
        fetch_slots=anyio.Semaphore(limits.downloads, fast_acquire=True),
        reconciler=reconciler,
        tell=tell,
        policy=policy,
    )


def _decode(stack: AsyncExitStack) -> Decode:
    """Decodes pictures in a process that ends with the run.

    Raises:
        UsageError: There is no decoder.
    """
    # Imported here: only a job that asks for it needs another process.
    from pipeline.picture.decoding import Decoder

    decoder = stack.enter_context(Decoder())
    # One picture at a time, so the others wait here, and not in the threads that land files.
    one = anyio.CapacityLimiter(1)

    async def decode(path: Path, picture: Picture) -> None:
        await anyio.to_thread.run_sync(decoder.check, path, picture, limiter=one, abandon_on_cancel=True)

    return decode


def billing_lag_of(limits: Limits, base: str, policy: Policy = STANDARD) -> float:
    """Seconds from sending a request until it is in the vendor's log if it was billed."""
    if limits.billing_lag is not None:
        return limits.billing_lag
    return policy.billing_lag_in_sandbox if base == SANDBOX else policy.billing_lag


async def start(endpoint: Endpoint, state: Path, stack: AsyncExitStack) -> tuple[Endpoint, Callable[[str], str]]:
    """The endpoint with its base, and where the pictures that its answers name are to be had; the sandbox is started.

    Raises:
        UsageError: The sandbox is asked for and its painter is not installed.
    """
    if endpoint.sandbox:
        from sandbox import Sandbox

        sandbox = await stack.enter_async_context(Sandbox(state=state))
        return replace(endpoint, base=sandbox.base), sandbox.current_url
    # Some servers name their pictures relative to themselves.
    return endpoint, lambda url: urljoin(endpoint.base + PATH, url)
