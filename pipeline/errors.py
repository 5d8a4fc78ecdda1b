"""What can go wrong, as what the caller must do about it.

    PipelineError
    ├── StopRun                  stop the run; `exit_code` says with what
    │   ├── UsageError           2   the job or the command line is wrong; nothing was sent
    │   │   └── WrongEndpoint    2   what answers is not the API, or does not know the model
    │   ├── KeyRefused           3   no key, a wrong key, or out of credit
    │   ├── ProviderUnavailable  5   the provider can't be reached or refuses everything for too long
    │   ├── StorageFailed        6   the output folder can't be written
    │   ├── BudgetReached        7   the next request might go over the budget
    │   ├── UnusableAnswers      8   what is paid for brings no usable picture, again and again
    │   ├── FolderLocked        11   another run holds the output folder
    │   └── Interrupted        130   Ctrl-C (130), SIGTERM (143), SIGHUP (129) or SIGQUIT (131)
    ├── GiveUp                   this item has failed, the others go on; `cause` says why, for counting
    │   └── Accepted             an asynchronous API has taken the request in; its picture comes later
    └── TryAgain                 the same may succeed later
        ├── NotSent              the request never left: free to try again
        ├── RateLimited          429: everybody waits, and it is no attempt
        ├── Unavailable          an error answer in the vendor's own form: not billed
        ├── MaybeBilled          sent, and nobody can say what became of it: first the vendor's log must be asked
        ├── NoPicture            a paid answer without a picture: once more at most
        └── DownloadBroken       the picture did not arrive whole: its URL is asked again, never the API

A class exists only because someone catches it. Messages are for people: what was found, where, and what to do. No
message ever holds a key or a URL's query string.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.exit_codes import ExitCode
from pipeline.model import Place


class PipelineError(Exception):
    """Everything this program raises on purpose."""


class StopRun(PipelineError):
    """The run must end; what is in flight is finished and recorded first."""

    exit_code: int = ExitCode.INCOMPLETE


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a job: where it is, what was found, and the cure."""

    place: Place
    message: str
    cure: str = ""

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}"
        return f"{text}\n    {self.cure}" if self.cure else text


class UsageError(StopRun):
    """The job file or the command line is wrong; nothing was sent.

    Attributes:
        problems: Every mistake found, in the order of the file; empty when the message says it all.
    """

    exit_code = ExitCode.WRONG_INPUT

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class WrongEndpoint(UsageError):
    """What answers is not the API, or an API that does not know the model: no item's fault, and held against none."""


class KeyRefused(StopRun):
    """No key, a wrong key, or an account out of credit."""

    exit_code = ExitCode.KEY_REFUSED


class ProviderUnavailable(StopRun):
    """The provider can't be reached, or has refused everything for longer than `limits.patience`."""

    exit_code = ExitCode.PROVIDER_UNAVAILABLE


class StorageFailed(StopRun):
    """The output folder can't be written: disk full, no permission, an I/O error."""

    exit_code = ExitCode.STORAGE_FAILED


class BudgetReached(StopRun):
    """The next request might cost more than the budget has left."""

    exit_code = ExitCode.BUDGET_REACHED


class UnusableAnswers(StopRun):
    """Paid answers in a row, of different items, brought no usable picture: the next ones would not either."""

    exit_code = ExitCode.UNUSABLE_ANSWERS


class FolderLocked(StopRun):
    """Another run holds the output folder."""

    exit_code = ExitCode.FOLDER_LOCKED


class Interrupted(StopRun):
    """A signal asked the run to end. `exit_code` is 128 and its number: 130 after Ctrl-C, 143 after SIGTERM."""

    exit_code: int = ExitCode.INTERRUPTED

    def __init__(self, message: str, exit_code: int = ExitCode.INTERRUPTED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class GiveUp(PipelineError):
    """This item has failed.

    Attributes:
        cause: A word to count by: one of `CAUSES`.
    """

    CAUSES: ClassVar[dict[str, str]] = {
        "rejected": "the API refused the request itself (400, 404, 422 …)",
        "moderated": "the API refused the prompt, or its own picture, for its content",
        "filtered": "the answer held no picture, twice",
        "maybe-billed": "may have been billed without an answer, and no log can tell",
        "lost": "paid for, but its answer or its picture can't be had any more",
        "bad-picture": "paid for, but the picture is broken or of the wrong shape",
        "download": "paid for, and its URL did not answer this time, or the run ended first; fetched by the next",
        "accepted": "an asynchronous API has accepted it, and this version can't collect its picture",
        "unsettled": "may have been billed without an answer; the vendor's log is asked by the next run",
        "unavailable": "the provider failed every attempt; the next run tries it again",
        "pending": "not made yet",
    }
    AGAIN: ClassVar[frozenset[str]] = frozenset({"download", "unsettled", "unavailable", "pending"})
    """Causes that the next run tries again by itself; the others wait for a change or for `--retry-failed`."""

    def __init__(self, message: str, *, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


class Accepted(GiveUp):
    """An asynchronous API has taken the request in; its picture comes later, and posting it again would pay twice.

    Attributes:
        ticket: JSON text: what the answer gave to ask for the picture with (an id, a URL to poll), without secrets.
    """

    def __init__(self, message: str, *, ticket: str) -> None:
        super().__init__(message, cause="accepted")
        self.ticket = ticket


class TryAgain(PipelineError):
    """The same may succeed later."""


class NotSent(TryAgain):
    """The request never left this machine: trying again costs nothing.

    Attributes:
        counted: Whether it uses up one of the item's attempts; not while the provider is out for everybody.
        local: It is this machine's own trouble (too many open files), and says nothing about the provider.
    """

    counted = True

    def __init__(self, message: str, *, local: bool = False) -> None:
        super().__init__(message)
        self.local = local


class RateLimited(TryAgain):
    """429. Everybody waits, and it does not count as an attempt.

    Attributes:
        retry_after: Seconds the server asked for, or None.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(TryAgain):
    """500, 502, 503 or 504 in the vendor's own form: by its documentation not billed.

    Attributes:
        retry_after: Seconds the server asked for, or None.
        counted: Whether it uses up one of the item's attempts; not while the provider is out for everybody.
    """

    counted = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class MaybeBilled(TryAgain):
    """Sent, and nobody can say what became of it.

    Attributes:
        attempt: Id of the attempt, once it is written down.
        price: Tokens it costs by list price, None where unknown.
        booked: Tokens that the budget holds for it.
        age: Seconds since it was sent.
        malformed: An answer came, and it was not HTTP that can be read.
    """

    malformed: bool = False
    attempt: str = ""
    price: int | None = None
    booked: int = 0
    age: float = 0.0


class NoPicture(TryAgain):
    """A paid answer without a picture in it."""


class DownloadBroken(TryAgain):
    """The picture did not arrive whole; its URL may still give it.

    Attributes:
        retry_after: Seconds the CDN asked for, or None.
        cause: The cause to give the item up with once no further try is worth it: `bad-picture` where what came is
            broken, else `download`.
        refused: The server answers, and not with the picture (401, 403, 404, 410, a page in its place, redirects
            without end). Of a fresh URL that means "not yet"; only its age, or its own expiry, proves more.
    """

    def __init__(
        self, message: str, retry_after: float | None = None, *, cause: str = "download", refused: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.cause = cause
        self.refused = refused
