"""Recognise the answer of an asynchronous API: an id to ask with later instead of a picture.

{"id": …, "status": "starting", "urls": {"get": …}}                   Replicate
{"request_id": …, "status": "IN_QUEUE", "status_url": …}              fal
{"id": …, "polling_url": …}                                           Black Forest Labs
{"output": {"task_id": …, "task_status": "PENDING"}}                  DashScope
{"code": 200, "data": [{"task_id": …, "status": "submitted"}]}        gateways behind the path of OpenAI's API
{"name": "operations/…", "done": false}                               Google
{"data": [{"taskType": "imageInference", "taskUUID": …}]}             Runware
{"id": …, "object": "image.generation.task", "progress": 0}           further gateways
202 with `Location`, `Operation-Location` or `Azure-AsyncOperation`   Azure and others
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

from pipeline.http.wire import Answer
from pipeline.text import one_line

_SURE_IDS = (
    *("task_id", "taskId", "taskID", "job_id", "jobId", "prediction_id", "predictionId", "generation_id"),
    *("generationId", "operation_id", "operationId", "taskUUID", "taskUuid", "task_uuid"),
)
_IDS = (*_SURE_IDS, "request_id", "requestId", "id", "uuid", "name")
_POLLS = (
    *("status_url", "statusUrl", "polling_url", "pollingUrl", "poll_url", "response_url", "responseUrl", "result_url"),
    *("task_url", "get_url"),
)
_STATUS = ("status", "state", "task_status", "taskStatus", "job_status")
_PENDING = frozenset(
    (
        *("queued", "in_queue", "queueing", "pending", "starting", "started", "processing", "in_progress", "running"),
        *("submitted", "accepted", "created", "scheduled", "waiting", "initializing", "initialized", "generating"),
        *("not_started", "not_start", "not_ready", "preparing", "working", "in progress", "in-progress", "throttled"),
        *("task_not_started", "task_started", "task_pending", "task_processing", "received", "enqueued", "active"),
    )
)
_FAILED = frozenset({"failed", "failure", "fail", "error", "canceled", "cancelled", "aborted", "rejected", "expired"})
_LOCATIONS = ("operation-location", "azure-asyncoperation", "location", "content-location")
_INSIDE = ("data", "output", "result", "task", "job", "prediction", "response", "operation", "meta", "attributes")
_RESULTS = ("data", "images", "image", "output", "outputs", "results", "result", "choices", "candidates", "predictions")
_LONGEST = 2_000
_DEEPEST = 3


def found(value: Any, answer: Answer, url: str = "") -> dict[str, str] | None:
    """The ticket in an answer without a picture: `id`, `url` and `status`, as far as it gives them; None for none.

    An id alone is a ticket only where the answer has no place for pictures: beside an empty `data` it is the id of
    an answer that is complete.

    Args:
        value: The JSON of the body.
        answer: The answer itself.
        url: Where the request went; what the answer names is relative to it.
    """
    if not isinstance(value, dict) or has_failed(value):
        return None
    parts = list(_parts(value))
    status = next((word for part in parts for word in _words(part)), None)
    pending = status is not None and (status.lower() in _PENDING)
    sure = next((text for part in parts if (text := _text(part, _SURE_IDS))), None)
    poll = next((text for part in parts if (text := _poll(part))), None) or _location(answer)
    some = sure or next((text for part in parts if (text := _text(part, _IDS))), None)
    complete = status is not None and not pending and any(name in value for name in _RESULTS)
    waits = (value.get("done") is False or _is_under_way(value)) and some is not None
    only_an_id = some is not None and status is None and not any(name in value for name in _RESULTS)
    if complete or not (pending or sure or poll or waits or only_an_id):
        return None
    ticket = {"id": some, "url": urljoin(url, poll) if poll else None, "status": status}
    return {name: text for name, text in ticket.items() if text is not None}


def located(answer: Answer) -> bool:
    """Whether an answer without a body names a place to ask at."""
    return _location(answer) is not None and len(answer.body) < 100 and not answer.body.strip()


def written(ticket: Mapping[str, str]) -> str:
    """A ticket as the ledger keeps it."""
    return json.dumps(ticket, ensure_ascii=False)


def told(ticket: Mapping[str, str]) -> str:
    """A ticket as a message may name it: without its URL, which may be signed."""
    name = one_line(ticket["id"], 100) if "id" in ticket else "an unnamed task"
    return f"{name} ({one_line(ticket['status'], 40)})" if "status" in ticket else name


def has_failed(value: Mapping[str, Any]) -> bool:
    """Whether an answer says that its task has ended without a result."""
    return any(word.lower() in _FAILED for part in _parts(value) for word in _words(part))


def _is_under_way(value: Mapping[str, Any]) -> bool:
    """Whether it gives a progress that is not at its end, as a part or per cent; 1 may be either's."""
    progress = value.get("progress")
    return (
        isinstance(progress, int | float) and not isinstance(progress, bool) and 0 <= progress < 100 and progress != 1
    )


def _parts(value: Mapping[str, Any], depth: int = 0) -> Iterator[Mapping[str, Any]]:
    yield value
    for name in _INSIDE if depth < _DEEPEST else ():
        inner = value.get(name)
        inner = inner[0] if isinstance(inner, list) and inner else inner
        if isinstance(inner, dict):
            yield from _parts(inner, depth + 1)


def _words(part: Mapping[str, Any]) -> Iterator[str]:
    for name in _STATUS:
        word = part.get(name)
        if isinstance(word, str) and word.strip():
            yield word.strip()


def _text(part: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    for name in names:
        text = part.get(name)
        if isinstance(text, int) and not isinstance(text, bool):
            text = str(text)
        if isinstance(text, str) and 0 < len(text.strip()) <= _LONGEST:
            return text.strip().encode("utf-8", "replace").decode()
    return None


def _poll(part: Mapping[str, Any]) -> str | None:
    urls = part.get("urls")
    return _text(part, _POLLS) or (_text(urls, ("get", "status", "result")) if isinstance(urls, dict) else None)


def _location(answer: Answer) -> str | None:
    if answer.status not in (201, 202):
        return None
    return next((text[:_LONGEST] for name in _LOCATIONS if (text := answer.headers.get(name, "").strip())), None)
