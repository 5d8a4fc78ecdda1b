"""What an answer other than a paid one means. Pure: an answer in, a verdict out; nothing here does I/O.

The rule behind all of it: by what is *known*, not by the class of an exception. An error in the vendor's own form is
documented as not billed and may be tried again; an error that some machine between us made says nothing about the
bill. The vendor's form is a JSON object with a `message` and a `requestId` or `statusCode`, or any answer that carries
`x-inference-id`.

Words come before the status where they say more: content is refused, an account is empty and a model is unknown under
many statuses (`said`).
"""

import json
from dataclasses import dataclass
from typing import Any

from pipeline.errors import (
    GiveUp,
    KeyRefused,
    MaybeBilled,
    PipelineError,
    RateLimited,
    Unavailable,
    UsageError,
    WrongEndpoint,
)
from pipeline.http.document import parse, readable
from pipeline.http.retry_after import asked_pause
from pipeline.http.wire import Answer
from pipeline.providers.aimlapi import said, shapes, ticket
from pipeline.providers.aimlapi.said import ServerWords
from pipeline.text import one_line, without_query

_ITEM_FAULT = frozenset({400, 404, 405, 413, 414, 415, 422, 451})
"""What no machine on the way says of a request that it has passed on."""

_NO_ROUTE = frozenset({404, 405, 410, 501})
"""What a server says of an address at which it has nothing."""

_SAYS_NOTHING_OF_THE_ADDRESS = frozenset({401, 402, 408, 413, 414, 425, 429, 431})
"""Statuses under which a page may come from any machine on the way to the right address."""

_NOT_TAKEN_IN = frozenset(
    {"rate_limit_exceeded", "overloaded", "overloaded_error", "engine_overloaded", "engine_overloaded_error"}
    | {"server_overloaded", "slow_down", "too_many_requests", "model_loading", "capacity_exceeded"}
)
"""Codes by which a server says that it has not begun with a request."""

_NOT_JSON = object()


@dataclass(frozen=True, slots=True)
class AnswerContext:
    """What an answer is an answer to, as far as its meaning depends on it.

    Attributes:
        item: Id of the item.
        model: The model's id.
        url: Where the request went.
        setting: What named that place: `AIML_API_BASE`, `endpoint:`, or empty for the vendor's own.
        spoken: This run has had an answer in an API's form: the address is right.
        delivered: This run has had a picture of this model: it is known there.
        prompt: The item's prompt.
    """

    item: str = ""
    model: str = ""
    url: str = ""
    setting: str = ""
    spoken: bool = True
    delivered: bool = False
    prompt: str = ""


_NOTHING = AnswerContext()


def verdict(answer: Answer, asked: AnswerContext = _NOTHING) -> PipelineError | None:
    """What an answer other than a paid one asks the caller to do, as the error to raise; None when it is paid for.

    | status | meaning |
    |---|---|
    | 200, 201; another 2xx that holds pictures or a ticket | paid (`empty` says of what, where no picture is in it) |
    | a page instead of an API's answer, before the API has ever answered | the wrong address: the run stops |
    | 404, 410, 501 that speak of the address and any 405, before the API has ever answered | the same |
    | 3xx | the endpoint is elsewhere: the run stops, a POST is never redirected |
    | 4xx that refuses the content | moderated |
    | 401, 402, 403; 4xx that speak of the key, the quota or the bill | the key or the account: the run stops |
    | 4xx that do not know the model | the run stops |
    | 425, 429 | everybody waits |
    | 500, 502, 503, 504 in the vendor's form, or with a code that says that it was not taken in | may be tried again |
    | 400, 404, 405, 413, 414, 415, 422, 451, another 4xx in the vendor's form | the item's own fault |
    | anything else | nobody can say if it was billed |
    """
    status = answer.status
    if 200 <= status < 300:
        return _success(answer, asked)
    if 300 <= status < 400:
        return UsageError(_moved(answer))
    if status == 407:
        return UsageError("a proxy on the way asks for a user name and a password (407): put them into HTTPS_PROXY")
    found = _json(answer)
    told = said.read(found, asked.prompt)
    words = _message(answer, found, told)
    if status < 500:
        return _of_client(answer, asked, told, words, page=found is _NOT_JSON)
    return _of_server(answer, asked, told, words, page=found is _NOT_JSON)


def _success(answer: Answer, asked: AnswerContext) -> PipelineError | None:
    if not asked.spoken and is_page(answer):
        return wrong_address(answer, asked, _message(answer, _NOT_JSON, ServerWords()))
    # Even when it was cut off: once its headers are here, nobody asks (and pays) again.
    if answer.status in (200, 201) or ticket.located(answer):
        return None
    try:
        document, generation = shapes.read(answer)
    except ValueError:
        document, generation = None, None
    if generation and generation.images:
        return None
    if document and ticket.found(document.value, answer):
        return None
    return MaybeBilled(f"{answer.status} without a picture: nothing says if it was billed")


def _of_client(answer: Answer, asked: AnswerContext, told: ServerWords, words: str, *, page: bool) -> PipelineError:
    """What a 4xx means."""
    status, line = answer.status, f"{answer.status}: {words}"
    account = status in (401, 402) or said.is_account(told) or (status in (403, 429) and said.is_daily(told))
    if account:
        return KeyRefused(refused(status, words, asked))
    if status in (425, 429):
        return RateLimited(line, pause(answer, told))
    if answer.whole and status != 408 and said.is_moderated(told):
        return GiveUp(line, cause="moderated")
    if not asked.delivered and said.is_model(told):
        return unknown_model(answer.status, words, asked)
    lost = not page and said.is_route(told) and status in _NO_ROUTE
    if status == 405 and not asked.spoken:
        # An address that takes no POST: no item can be at fault for that.
        return wrong_address(answer, asked, words)
    if not _has_id(answer) and (lost or (page and status in _NO_ROUTE)):
        if not asked.spoken:
            return wrong_address(answer, asked, words)
        if page or not _is_vendors(answer):
            # The API was there a moment ago: a machine between us has lost its way to it, and the item is not at
            # fault. Most likely nothing was billed; the log says so for sure, before anything is asked again.
            return MaybeBilled(f"{status} from a machine between us and the API: {words}")
    if not asked.spoken and is_page(answer) and status not in _SAYS_NOTHING_OF_THE_ADDRESS:
        return wrong_address(answer, asked, words)
    if status == 403:
        return KeyRefused(refused(status, words, asked))
    if answer.whole and (status in _ITEM_FAULT or (status != 408 and _is_vendors(answer))):
        return GiveUp(line, cause="rejected")
    return MaybeBilled(f"{status} from a machine between us and the API: {words}")


def _of_server(answer: Answer, asked: AnswerContext, told: ServerWords, words: str, *, page: bool) -> PipelineError:
    """What a 5xx means."""
    status, line = answer.status, f"{answer.status}: {words}"
    if status in (500, 502, 503, 504) and (_is_vendors(answer) or told.codes & _NOT_TAKEN_IN):
        return Unavailable(line, pause(answer, told) if status == 503 else None)
    if answer.whole and said.names_account(told):
        return KeyRefused(refused(status, words, asked))
    if answer.whole and said.names_moderation(told):
        return GiveUp(line, cause="moderated")
    if status == 501 and not asked.spoken and not _has_id(answer) and (page or said.is_route(told)):
        return wrong_address(answer, asked, words)
    if page:
        return MaybeBilled(f"{status} from a machine between us and the API: {words}")
    return MaybeBilled(f"{status} from the API, which does not say if it billed the request: {words}")


def pause(answer: Answer, told: ServerWords) -> float | None:
    """Seconds that a refusal asks to wait, by its headers or its words."""
    asked = asked_pause(answer.headers, told.words)
    return told.pause if asked is None else asked


def is_page(answer: Answer) -> bool:
    """Whether an answer is a page or a plain text instead of an API's answer."""
    if _has_id(answer):
        return False
    start = bytes(answer.body[:200]).lstrip(b"\xef\xbb\xbf \t\r\n")
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not start or start.startswith((b"{", b"[")):
        return False
    return start.startswith(b"<") or kind in ("text/html", "text/plain", "application/xhtml+xml")


def speaks(answer: Answer) -> bool:
    """Whether an error is one that only an API makes: there is one at this address, whatever it says."""
    return answer.status < 500 and (_has_id(answer) or isinstance(_json(answer), dict | list))


def wrong_address(answer: Answer, asked: AnswerContext, words: str) -> WrongEndpoint:
    """The end of a run that has asked at a wrong address."""
    where = {"": "the job's `endpoint`", "endpoint:": "the job's `endpoint`"}.get(asked.setting, asked.setting)
    return WrongEndpoint(
        f"POST {without_query(asked.url)} answers {answer.status} ({words}), asked for {asked.item}: is the endpoint "
        f"right? Correct {where}; what answers there is not the API, so nothing is held against the items"
    )


def unknown_model(status: int, words: str, asked: AnswerContext) -> WrongEndpoint:
    """The end of a run whose model the endpoint does not know."""
    return WrongEndpoint(
        f"{without_query(asked.url)} does not have the model {asked.model} ({status}: {words}), asked for by "
        f"{asked.item}: correct `model:` in the job, or the endpoint"
    )


def refused(status: int, words: str, asked: AnswerContext) -> str:
    """What a person must know and do when the key or the account is refused."""
    cure = {
        401: "check the key in AIML_API_KEY",
        402: "top up the account",
        403: "top up the account, or check what its plan and its key allow",
    }.get(status, "check the key in AIML_API_KEY, the account's credit, and its plan")
    item = f" for {asked.item}" if asked.item else ""
    return (
        f"the API refused the key or the account{item} ({status}: {words}); {cure}. "
        "What was in flight has been recorded."
    )


def _json(answer: Answer) -> Any:
    """The JSON of an answer; `_NOT_JSON` where it is none that an API would send."""
    try:
        found = readable(parse(answer.body))
    except ValueError:
        return _NOT_JSON
    return found if isinstance(found, dict | list | str) or found is None else _NOT_JSON


def _message(answer: Answer, found: Any, told: ServerWords) -> str:
    """What a person should read of an answer: the server's message, or else what kind of thing the body is."""
    if told.message:
        return told.message
    if found is not _NOT_JSON:
        return said.shown(found if isinstance(found, str) else json.dumps(found))
    kind = answer.headers.get("content-type", "").split(";")[0] or "no content type"
    return f"{len(answer.body)} bytes of {one_line(kind, 60)}"


def _has_id(answer: Answer) -> bool:
    return "x-inference-id" in answer.headers


def _is_vendors(answer: Answer) -> bool:
    found = _json(answer)
    formal = isinstance(found, dict) and "message" in found and ("requestId" in found or "statusCode" in found)
    return _has_id(answer) or formal


def _moved(answer: Answer) -> str:
    target = one_line(without_query(answer.headers.get("location", "")), 200) or "an unnamed place"
    return f"the endpoint answered {answer.status} and points to {target}: correct the endpoint (or AIML_API_BASE)"
