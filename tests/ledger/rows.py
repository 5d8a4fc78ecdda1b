"""Rows for the tests of the ledger and of what reads it."""

from typing import Any

from pipeline.ledger import Attempt, ImageRow
from pipeline.model import DEFAULT_MODEL, Item

AT = "2026-11-23T08:00:00.000Z"
RUN = "20261123T080000-abc123"


def item(key: str = "key-1", id: str = "hero", **changes: Any) -> Item:  # noqa: A002
    return Item(key, id, **{"prompt": "a racoon", "model": DEFAULT_MODEL, "aspect_ratio": "1:1", **changes})


def saved_row(idx: int = 0, **changes: Any) -> ImageRow:
    known: dict[str, Any] = {
        "key": "key-1",
        "item": "hero",
        "state": "saved",
        "created_at": AT,
        "attempts": 1,
        "attempt": "a-1",
        "path": "hero.png" if idx == 0 else f"hero-{idx + 1}.png",
        "mime_type": "image/png",
        "bytes": 1_000,
        "sha256": "ab" * 32,
        "width": 1024,
        "height": 1024,
        "mtime_ns": 123,
        "url": "https://cdn.example.com/a.png",
    }
    return ImageRow(idx=idx, **{**known, **changes})


def failed_row(idx: int = 0, cause: str = "rejected", **changes: Any) -> ImageRow:
    known: dict[str, Any] = {"key": "key-1", "item": "hero", "state": "failed", "created_at": AT, "attempts": 1}
    return ImageRow(idx=idx, cause=cause, error=f"because {cause}", **{**known, **changes})


def attempt(id: str = "a-1", indexes: tuple[int, ...] = (0,), **changes: Any) -> Attempt:  # noqa: A002
    known: dict[str, Any] = {
        "seq": 1,
        "run": RUN,
        "key": "key-1",
        "item": "hero",
        "model": DEFAULT_MODEL,
        "price": 126_000,
        "state": "paid",
        "created_at": AT,
        "inference_id": f"inf-{id}",
        "answer": b"{}",
        "delivered": len(indexes),
        "tokens": 126_000 * len(indexes),
        "usd": 0.063 * len(indexes),
        "made_by": None,
        "error": None,
        "status": 200,
        "settled_at": None,
        "checks": 0,
        "lost": 0,
        "skew": None,
        "ticket": None,
    }
    return Attempt(id=id, indexes=indexes, **{**known, **changes})
