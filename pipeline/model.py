"""The words of the house.

`Job` (the YAML file) → `Item` (a picture that must exist, as many times as wanted) → `Request` (one POST to make for
it; an `UnresolvedAttempt` when nobody can say whether it was billed) → `Generation` (the paid answer: URLs or bytes,
rewritten prompts, tokens) → `PaidImage` (one picture of it that must become a file) → `SavedImage` (a whole, checked
file) → `Record` (its line in the manifest). All are frozen: a stage makes a new value, it never changes one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.generated import GeneratedImage

if TYPE_CHECKING:
    from pipeline.plan.wanted import WantedItems

DEFAULT_MODEL = "google/imagen-4.0-ultra-generate-001"

CREDITS_PER_USD = 2_000_000
"""The vendor's price of one dollar in credits; its `tokens_used` counts the same unit."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast, how much and how long a run may go.

    Attributes:
        concurrency: Requests to the API in flight at once, at most.
        downloads: Image downloads in flight at once, at most.
        requests_per_minute: Requests sent in a minute, at most; None lets the concurrency adapt by itself.
        budget_tokens: Tokens (credits) a run may spend; None for no cap.
        budget_usd: The same in US dollars; where both are given, the lower one holds.
        budget_window: Seconds back for which earlier runs on the same output count towards the budget; None: none do.
        retry_paid_budget_usd: US dollars that may be spent in a run on asking again for what was billed without an
            answer; None for the larger of one dollar and 2 % of what the run would cost.
        billing_lag: Seconds from sending a request until the vendor's log is read for it, where no answer came; None
            for 660 s, and 1 s in the sandbox.
        on_unknown_outcome: What becomes of a request of which no log can say whether it was billed: `retry` asks again
            within `retry_paid_budget_usd`, `hold` leaves it for a person.
        attempts: Attempts that may fail for one request before its item is given up; 429 answers do not count.
        unusable_answers: Paid answers in a row, of different items, that may bring no usable picture before the run
            stops.
        request_timeout: Seconds to wait for an answer; the vendor's own limit is below the default.
        grace: Seconds that an interrupted run waits for the answers it has already asked for.
        patience: Seconds a run keeps trying while the provider refuses everything or can't be reached.
        max_image_bytes: Bytes one image may have.
    """

    concurrency: int = 8
    downloads: int = 16
    requests_per_minute: float | None = None
    budget_tokens: int | None = None
    budget_usd: float | None = None
    budget_window: float | None = None
    retry_paid_budget_usd: float | None = None
    billing_lag: float | None = None
    on_unknown_outcome: Literal["retry", "hold"] = "retry"
    attempts: int = 5
    unusable_answers: int = 8
    request_timeout: float = 600.0
    grace: float = 600.0
    patience: float = 1800.0
    max_image_bytes: int = 50 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written: a file, and where known its line and column, both counted from 1."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


@dataclass(frozen=True, slots=True)
class Item:
    """A picture that must exist, `count` times.

    Attributes:
        key: Hash of everything that shapes the picture and of nothing else (`job.keys` says of what exactly).
        id: Names its files. Unique in the job; stays the same when the job is reordered.
        prompt: The prompt as sent.
        model: The model's id as written in the job.
        aspect_ratio: `W:H`, or None where the model takes none.
        seed: The seed, or None: every call differs.
        parameters: The further parameters as the user set them, in the model's own names.
        count: Images wanted; they are told apart by their index, 0 to count - 1.
        sandbox: Whether the project's own sandbox makes it; part of the key.
        place: Where in the job it was written.
    """

    key: str
    id: str
    prompt: str
    model: str
    aspect_ratio: str | None = None
    seed: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    count: int = 1
    sandbox: bool = False
    place: Place = Place("")

    def stem(self, index: int) -> str:
        """The file name, without its suffix, of the image with this index: the first is the id itself.

        So a file keeps its name when `count` grows.
        """
        return self.id if index == 0 else f"{self.id}-{index + 1}"


@dataclass(frozen=True, slots=True)
class Request:
    """One POST to make.

    Attributes:
        item: The item.
        indexes: Which of its images are asked for.
        is_remake: They are asked for though they are there: if they can't be had, the old ones stay.
        times_unresolved: How often it was asked before without anybody being able to say what became of it.
    """

    item: Item
    indexes: tuple[int, ...]
    is_remake: bool = False
    times_unresolved: int = 0


@dataclass(frozen=True, slots=True)
class UnresolvedAttempt:
    """A request that left and brought no answer: was it billed?

    Attributes:
        request: The request.
        attempt: Id of its last attempt.
        created_at: When that was about to be sent, RFC 3339 in UTC.
        price: Tokens it costs by list price, None where unknown.
        error: What happened to it.
        booked: Tokens that the budget holds for it.
        verdict: What is known of it: `open` as long as no log was asked; then `unbilled`, `lost` (it was billed), or
            `unproven` (there is no log that could say).
        forgone: It must not be asked again: its answer came and could not be read.
    """

    request: Request
    attempt: str
    created_at: str
    price: int | None
    error: str
    booked: int = 0
    verdict: Literal["open", "unbilled", "lost", "unproven"] = "open"
    forgone: bool = False


@dataclass(frozen=True, slots=True)
class PaidImage:
    """A picture that is paid for and must become a file.

    Attributes:
        item: The item it was asked for.
        index: Which of the item's images it is.
        image: Where it is to be had.
        attempt: Id of the attempt that paid for it.
        replaces: It had been saved before and its file is gone: should its URL be dead too, it may be asked for again.
        overdue: Its URL did not answer in an earlier run either: the same where it does not answer this time.
        is_remake: Another picture of this image is there, saved and sound: whatever becomes of this one, that one
            stays.
        insisted: A person wants it now: where it can't be had, whatever the cause, it is asked for again.
        fresh: This run has paid for it: where its URL refuses, the picture may not be there yet.
        paid_at: When it was asked for, RFC 3339 in UTC.
        others: The same image in older paid answers, tried where this one can't be had.
    """

    item: Item
    index: int
    image: GeneratedImage
    attempt: str
    replaces: bool = False
    overdue: bool = False
    is_remake: bool = False
    insisted: bool = False
    fresh: bool = False
    paid_at: str = ""
    others: tuple["PaidImage", ...] = ()


@dataclass(frozen=True, slots=True)
class SavedImage:
    """A whole, checked file in the output folder.

    Attributes:
        path: Relative to the output folder, with `/` between its parts.
        mime_type: What the bytes are, whatever a header said.
        bytes: Its size.
        sha256: Hex digest of its bytes.
        width: Pixels.
        height: Pixels.
        mtime_ns: Its modification time when the last byte was durable, in nanoseconds: what changes it later shows.
    """

    path: str
    mime_type: str
    bytes: int
    sha256: str
    width: int
    height: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Record:
    """One line of `manifest.jsonl`: one image of the job. The README says what each field means."""

    id: str
    key: str
    status: Literal["saved", "failed"]
    prompt: str
    revised_prompt: str | None
    model: str
    aspect_ratio: str | None
    seed: int | None
    index: int
    url: str | None
    path: str | None
    mime_type: str | None
    bytes: int | None
    sha256: str | None
    width: int | None
    height: int | None
    tokens_used: int | None
    usd: float | None
    attempts: int
    client_request_id: str | None
    inference_id: str | None
    created_at: str
    error: str | None
    cause: str | None


@dataclass(frozen=True, slots=True)
class Job:
    """A job file, read and checked.

    Attributes:
        name: The job's name.
        path: The job file.
        endpoint: `aimlapi`, `sandbox`, or the base URL of a server that speaks `/v1/images/generations`.
        output: The output folder.
        state_dir: Where the ledger and its lock are kept; None for inside the output folder.
        wanted: The job's items, as they were when it was read.
        digests: The job file and the files whose rows are prompt entries, each with the sha256 of the bytes that were
            read.
        given: What was given instead of the job's own `endpoint` and `output`.
        limits: How fast, how much and how long a run may go.
        proxy: The HTTP proxy for all requests, `none` for no proxy; None for what the environment says.
        user_agent: The name that servers see; None for the program's own.
        check: How each picture is checked before it gets its name: `structure` reads it as a container, `decode`
            decodes it too.
        notes: What is right as it was read, and may not be what was meant; `run` and `plan` print it.
        unused_columns: For each included file that has columns which nothing uses, by its name in errors, these.
    """

    name: str
    path: Path
    endpoint: str
    output: Path
    limits: Limits
    wanted: "WantedItems"
    state_dir: Path | None = None
    check: Literal["structure", "decode"] = "structure"
    digests: Mapping[Path, str | None] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    proxy: str | None = None
    user_agent: str | None = None
    notes: tuple[str, ...] = ()
    unused_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
