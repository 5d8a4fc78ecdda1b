"""What the manifest says of an item: a view of the ledger, which can be made anew from it at any time."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from pipeline.clock import utc_now
from pipeline.errors import GiveUp
from pipeline.http.signed_urls import without_signature
from pipeline.ledger import Attempt, ImageRow, LedgerReader
from pipeline.model import Item, Record

Cost = tuple[int | None, float | None]
"""Tokens and USD; None where no answer said."""


def share(total: int, parts: int, position: int) -> int:
    """What part `position` of `parts` gets of `total` when all get the same and the first ones the rest of it.

    >>> [share(10, 4, position) for position in range(4)]
    [3, 3, 2, 2]
    """
    whole, rest = divmod(total, parts)
    return whole + (position < rest)


def cost_of(index: int, attempts: Sequence[Attempt], attempt: str | None) -> Cost:
    """What one image cost: its share of the answer it came in, and of answers that held no picture at all.

    Args:
        index: Which image of the item.
        attempts: All attempts of the item.
        attempt: Id of the attempt whose answer it came in, or None.
    """
    tokens: int | None = None
    usd: float | None = None
    for paid in attempts:
        empty = not paid.delivered
        if paid.state not in ("paid", "lost") or index not in paid.indexes or not (empty or paid.id == attempt):
            continue
        sharing = paid.indexes if empty else paid.indexes[: paid.delivered]
        if index not in sharing:
            continue
        if paid.tokens is not None:
            tokens = (tokens or 0) + share(paid.tokens, len(sharing), sharing.index(index))
        if paid.usd is not None:
            usd = round((usd or 0.0) + paid.usd / len(sharing), 9)
    return tokens, usd


def record_of(item: Item, index: int, row: ImageRow | None, attempts: Sequence[Attempt], now: str) -> Record:
    """The manifest's line for one image.

    Args:
        item: The item as the job has it now.
        index: Which of its images.
        row: What became of it, or None when it has not been asked for yet.
        attempts: All attempts of the item.
        now: The time to write where the ledger has none, RFC 3339 in UTC.
    """
    row = row or _unfinished(item, index, attempts, now)
    paid = next((attempt for attempt in attempts if attempt.id == row.attempt), None)
    tokens, usd = cost_of(index, attempts, row.attempt)
    saved = row.state == "saved"
    return Record(
        id=item.id,
        key=item.key,
        status="saved" if saved else "failed",
        prompt=item.prompt,
        revised_prompt=row.revised_prompt,
        model=item.model,
        aspect_ratio=item.aspect_ratio,
        seed=item.seed,
        index=index,
        url=None if row.url is None else without_signature(row.url),
        path=row.path if saved else None,
        mime_type=row.mime_type,
        bytes=row.bytes,
        sha256=row.sha256,
        width=row.width,
        height=row.height,
        tokens_used=tokens,
        usd=usd,
        attempts=row.attempts,
        client_request_id=paid.id if paid else None,
        inference_id=paid.inference_id if paid else None,
        created_at=row.created_at,
        error=row.error,
        cause=row.cause,
    )


def _unfinished(item: Item, index: int, attempts: Sequence[Attempt], now: str) -> ImageRow:
    """Stands for an image of which nothing is written down: the run ended before its turn, or before its download."""
    covering = [attempt for attempt in attempts if index in attempt.indexes]
    delivering = (a for a in covering if a.state == "paid" and a.indexes.index(index) < (a.delivered or 0))
    paid = next(delivering, None)
    if paid is None and covering and covering[-1].open:
        cause, error = "unsettled", covering[-1].error or "the run was killed before the answer came"
    elif paid is None:
        cause, error = "pending", GiveUp.CAUSES["pending"]
    else:
        cause, error = "download", "paid for; the run ended before its download"
    return ImageRow(
        item.key,
        index,
        item.id,
        "failed",
        now,
        attempts=len(covering),
        attempt=paid.id if paid else None,
        cause=cause,
        error=error,
    )


def without_file(record: Record) -> Record:
    """The line of an image that was saved, whose file is gone or not the one wanted, and whose turn did not come."""
    return replace(
        record,
        status="failed",
        path=None,
        mime_type=None,
        bytes=None,
        sha256=None,
        width=None,
        height=None,
        error="its file is gone, changed or a placeholder, and the run ended before its turn",
        cause="pending",
    )


def manifest(items: Iterable[Item], ledger: LedgerReader, absent: Collection[tuple[str, int]]) -> Iterator[Record]:
    """The whole manifest, one record for each image of the job, in its order.

    It depends on nothing but its arguments, so that it can be made again to the byte: what has no time of its own
    bears that of the newest run.

    Args:
        items: The job's items.
        ledger: What the ledger says.
        absent: Key and index of the images that it calls saved and whose files are gone or changed.
    """
    now = ledger.last_run() or utc_now()
    for item, known in ledger.of_items(items):
        for index in range(item.count):
            record = record_of(item, index, known.images.get(index), known.attempts, now)
            gone = record.status == "saved" and (item.key, index) in absent
            yield without_file(record) if gone else record
