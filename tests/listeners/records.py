"""Records as a run tells of them."""

from typing import Any, Literal

from pipeline.model import Record


def record(status: Literal["saved", "failed"] = "saved", **more: Any) -> Record:
    """A record of one image; `more` says what matters."""
    known: dict[str, Any] = {
        "id": "hero",
        "key": "0123456789abcdef",
        "status": status,
        "prompt": "A fox",
        "revised_prompt": None,
        "model": "google/imagen-4.0-ultra-generate-001",
        "aspect_ratio": "1:1",
        "seed": None,
        "index": 0,
        "url": "https://cdn.example.com/a.png",
        "path": "hero.png" if status == "saved" else None,
        "mime_type": "image/png",
        "bytes": 1500,
        "sha256": "ab" * 32,
        "width": 8,
        "height": 8,
        "tokens_used": None,
        "usd": None,
        "attempts": 1,
        "client_request_id": "run.key.000001",
        "inference_id": None,
        "created_at": "2026-11-23T08:00:00.000Z",
        "error": None,
        "cause": None,
    }
    return Record(**(known | more))
