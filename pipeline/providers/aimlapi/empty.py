"""What a 200 without a picture means: an asynchronous API's ticket, an error in the dress of a success, or nothing."""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import Accepted, GiveUp, KeyRefused, NoPicture, PipelineError, RateLimited, Unavailable
from pipeline.generated import Generation
from pipeline.http.document import JsonDocument, readable
from pipeline.http.wire import Answer
from pipeline.providers.aimlapi import said, ticket
from pipeline.providers.aimlapi.said import ServerWords
from pipeline.providers.aimlapi.verdict import AnswerContext, pause, refused, unknown_model

_FINE = frozenset({"0", "200", "201", "202", "ok", "success", "succeeded", "true", "none", "null", ""})
_PLACES = ("data", "output", "result", "response", "choices")
_DEEPEST = 20
_LONG = 4_000


def meaning(
    answer: Answer, document: JsonDocument, generation: Generation, asked: AnswerContext
) -> tuple[PipelineError, bool]:
    """What an answer without a picture asks the caller to do, and whether it was billed.

    | the answer | meaning | billed |
    |---|---|---|
    | has an id to ask with, or says that it is under way | accepted | maybe |
    | an error about content | moderated | if it names a cost |
    | an error about the account, the pace, the model, the server | as with a status of its own | if it names a cost |
    | another error | filtered, with the server's words | if it names a cost |
    | words, no error | filtered, or moderated, with the words | yes |
    | neither, but a URL or a long text, which may be a picture | lost: it is kept, and not asked for again | yes |
    | none of all that | no picture: it may be asked for once more | yes |
    """
    value = readable(document)
    told = said.read(value, asked.prompt)
    billed = bool(generation.tokens_used or generation.usd)
    if is_error(value):
        return _error(answer, told, asked, billed=billed), billed
    found = ticket.found(value, answer, asked.url)
    if found is not None:
        message = (
            f"the API has accepted it as {ticket.told(found)} and sends the picture later, which can't be collected"
        )
        return Accepted(message, ticket=ticket.written(found)), True
    if said.names_moderation(told) or (told.message and said.is_moderated(told)):
        return GiveUp(_words(answer, told), cause="moderated"), True
    if told.message:
        return GiveUp(_words(answer, told), cause="filtered"), True
    if _may_hold_picture(value):
        words = "the answer may hold a picture, in a form that this version can't read; the ledger keeps it"
        return GiveUp(words, cause="lost"), True
    return NoPicture("the answer held no picture, and no word of why: the prompt or the picture was filtered"), True


def _error(answer: Answer, told: ServerWords, asked: AnswerContext, *, billed: bool) -> PipelineError:
    words = _words(answer, told)
    if said.is_account(told) or told.codes & {"401", "402"}:
        return KeyRefused(refused(answer.status, told.message or "an error", asked))
    if said.is_moderated(told):
        return GiveUp(words, cause="moderated")
    if billed:
        # Whatever it says of later: it would be billed again.
        return GiveUp(words, cause="filtered")
    if said.is_throttled(told):
        return RateLimited(words, pause(answer, told))
    if said.is_model(told) and not asked.delivered:
        return unknown_model(answer.status, told.message, asked)
    if said.is_unavailable(told):
        return Unavailable(words, pause(answer, told))
    return GiveUp(words, cause="filtered")


def _may_hold_picture(value: Any, depth: int = 0) -> bool:
    """Whether a URL, or a text as long as those of pictures are, stands anywhere in a JSON value."""
    if isinstance(value, str):
        start = value.lstrip()[:8].lower()
        return start.startswith(("https://", "http://", "data:")) or len(value) >= _LONG
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth <= _DEEPEST and any(_may_hold_picture(one, depth + 1) for one in inner)


def is_error(value: Any) -> bool:
    """Whether a JSON object says that it is an error, in one of the ways in which servers do."""
    if not isinstance(value, dict):
        return False
    if ticket.has_failed(value):
        return True
    inner = [value.get(name) for name in _PLACES]
    firsts = [one[0] if isinstance(one, list) and one else one for one in inner]
    return any(_is_error(part) for part in (value, *firsts) if isinstance(part, dict))


def _is_error(part: Mapping[str, Any]) -> bool:
    if part.get("error") or part.get("errors") or part.get("success") is False or part.get("object") == "error":
        return True
    feedback, response = part.get("promptFeedback"), part.get("base_resp")
    if isinstance(feedback, dict) and feedback.get("blockReason"):
        return True
    if isinstance(response, dict) and response.get("status_code"):
        return True
    words = next((text for name in ("message", "msg") if isinstance(text := part.get(name), str)), "?")
    if words.strip().lower() in _FINE:
        # Some servers count their successes from 1.
        return False
    codes = (part.get(name) for name in ("code", "statusCode", "status_code", "error_code", "errorCode"))
    return any(isinstance(code, str | int) and str(code).lower() not in _FINE for code in codes) or (
        bool(part.get("detail")) and not any(name in part for name in ("data", "images", "output"))
    )


def _words(answer: Answer, told: ServerWords) -> str:
    codes = ", ".join(sorted(code for code in told.codes if code not in _FINE)[:3])
    return f"{answer.status} without a picture: {told.message or said.shown(codes) or 'an error without words'}"
