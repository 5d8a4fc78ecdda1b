"""Before the first request: is there everything that the whole plan needs? All that is missing is said at once."""

import sys
import time
from typing import TYPE_CHECKING

from pipeline.clock import utc, utc_now
from pipeline.errors import KeyRefused, StopRun, StorageFailed
from pipeline.ledger import Ledger
from pipeline.limits.budget import Budget
from pipeline.limits.stop import RunStopping, StopSignal
from pipeline.model import CREDITS_PER_USD, Job, Limits
from pipeline.output.local import OutputFolder
from pipeline.plan.workload import WorkList, spare_paid_pictures
from pipeline.providers.aimlapi.account import Account, NoAnswer, NoLog
from pipeline.settings import SANDBOX, Endpoint
from pipeline.text import grouped, plural, usd

if TYPE_CHECKING:
    from pipeline.run.item import Producer

if sys.platform != "win32":
    import resource

IMAGE_BYTES = 2 * 1024 * 1024
"""Bytes that a picture is taken to have before there is one to go by; the sandbox paints much smaller ones."""

SANDBOX_IMAGE_BYTES = 128 * 1024

SPARE_FILES = 64
"""Files that the program has open besides its connections and pictures."""


async def prepare(
    producer: "Producer",
    job: Job,
    store: OutputFolder,
    ledger: Ledger,
    work: WorkList,
    endpoint: Endpoint,
    stop: StopSignal,
) -> bool:
    """Before anything is paid for: resolve what earlier runs left, count what they spent, check what is needed.

    What makes the run impossible requests its stop.

    Returns:
        Whether the plan was made again, because the vendor's log has told more.
    """
    reconciler, budget, planned_again = producer.reconciler, producer.asker.admission.budget, False
    base, window = endpoint.base_or_sandbox, job.limits.budget_window
    try:
        with stop.interruptible():
            if ledger.in_doubt(base, utc_now()):
                await reconciler.billing_log.catch_up(reconciler.billing_lag)
                work.plan()
                planned_again = True
            await preflight(
                work, job.limits, store, ledger, reconciler.billing_log.account, budget, producer.policy.free_bytes
            )
            if (
                reconciler.billing_log.account.is_sandbox
                and not endpoint.sandbox
                and not work.planner.selection.placeholders
            ):
                spare_paid_pictures(work, ledger, job.output, elsewhere=True)
            if work.asked:
                await reconciler.billing_log.find_unrecorded(lambda: iter(job.wanted))
        if window is not None:
            budget.begin(ledger.spent_since(utc(time.time() - window), base=base))
    except RunStopping:
        pass
    except StopRun as reason:
        stop.request(reason)
    return planned_again


async def preflight(
    work: WorkList, limits: Limits, store: OutputFolder, ledger: Ledger, account: Account, budget: Budget, keep: int
) -> None:
    """Make sure that a run can be carried to its end, before any of it is paid for.

    `keep`: bytes of the disk that are to stay free.

    Raises:
        KeyRefused: The key is refused, or the account has less than the plan costs.
        StorageFailed: The disk has less room than the plan needs, or the process may open too few files.
    """
    if not work.asked:
        return
    found = [_files(limits), _room(work, store, ledger, keep), await _money(work, account, budget)]
    problems = [problem for problem in found if problem]
    if problems:
        worst = next((problem for problem in problems if isinstance(problem, KeyRefused)), problems[0])
        raise type(worst)("; ".join(map(str, problems)))


def _files(limits: Limits) -> StopRun | None:
    """A request holds a socket, a download a socket and a file; each may be opening one while another closes."""
    if sys.platform == "win32":  # pragma: no cover - there is no such limit
        return None
    needed = 2 * limits.concurrency + 3 * limits.downloads + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return None
    if hard == resource.RLIM_INFINITY or hard >= needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        return None
    return StorageFailed(
        f"this process may open {hard} files and needs {needed}: raise `ulimit -n`, or lower limits.concurrency "
        f"({limits.concurrency}) and limits.downloads ({limits.downloads})"
    )


def _room(work: WorkList, store: OutputFolder, ledger: Ledger, keep: int) -> StopRun | None:
    each = ledger.mean_bytes() or (SANDBOX_IMAGE_BYTES if work.planner.asked_at == SANDBOX else IMAGE_BYTES)
    needed, free = int(work.asked * each) + keep, store.free_bytes()
    if free >= needed:
        return None
    return StorageFailed(
        f"the output folder's disk has {_megabytes(free)} left, and {plural(work.asked, 'image')} of about "
        f"{_megabytes(each)} need {_megabytes(needed)}, {_megabytes(keep)} of it to be kept free: "
        "free some space, or make a part of them with --limit"
    )


async def _money(work: WorkList, account: Account, budget: Budget) -> StopRun | None:
    try:
        balance = await account.balance()
    except (NoLog, NoAnswer):
        # Nothing is known, so nothing speaks against it: the first request will tell.
        return None
    except KeyRefused as error:
        return error
    planned = work.tokens if budget.cap is None else min(work.tokens, max(0, budget.cap - budget.spent))
    if balance * CREDITS_PER_USD >= planned:
        return None
    return KeyRefused(
        f"the account has {usd(balance)} left, and the plan costs {usd(planned / CREDITS_PER_USD)} "
        f"({grouped(planned)} tokens at list price): top it up, or make a part with --limit or --budget-usd"
    )


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"
