"""What an API says in words and codes, in whatever form: read from the JSON of an error, and sorted by its meaning.

Servers disagree about statuses: a refusal of content comes as 400, 403, 422, 451, or 200; an empty account as 402, 403,
429 or 400. What they say is more to be relied on, their codes first.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.http.retry_after import parse_span
from pipeline.text import one_line

MESSAGE_LIMIT = 300
"""Characters of a server's message that are shown."""

_INSIDE = (
    *("error", "errors", "detail", "details", "base_resp", "promptFeedback", "fault", "violations"),
    *("output", "data", "response", "result", "candidates", "predictions", "artifacts", "choices"),
)
_MESSAGE = ("message", "msg", "error_message", "errorMessage", "error_msg", "status_msg", "error_description", "detail")
_MORE_WORDS = ("title", "reason", "failure_reason", "raiFilteredReason", "blockReasonMessage", "description")
_CODES = (
    *("code", "type", "status", "error_code", "errorCode", "err_code", "status_code", "statusCode", "reason", "error"),
    *("blockReason", "finishReason", "finish_reason", "task_status", "quotaId"),
)
_PAUSES = ("retryDelay", "retry_after", "retryAfter")
_EMPTY_WORDS = frozenset({"", "success", "succeeded", "ok", "completed", "done", "null", "none"})
_DEEPEST = 4
_SHORTEST_PROMPT = 8
_MOST_PARTS = 50


@dataclass(frozen=True, slots=True)
class ServerWords:
    """What a JSON answer says.

    Attributes:
        message: What a person should read, in one line; empty where there are no words for people.
        codes: Words for machines, in lower case, and numbers as text.
        words: All its words, for the patterns.
        pause: Seconds that it asks to wait (`retryDelay`, `retry_after`), None where it does not.
    """

    message: str = ""
    codes: frozenset[str] = frozenset()
    words: str = ""
    pause: float | None = None


def read(found: Any, prompt: str = "") -> ServerWords:
    """The words and codes of an answer's JSON.

    Args:
        found: The JSON.
        prompt: The prompt of the request, which a server may repeat: it says nothing of what the answer means.
    """
    parts = list(_parts(found))
    said = [text for part in parts for text in _words(part)]
    told = [text.replace(prompt, "…") for text in said] if len(prompt) >= _SHORTEST_PROMPT else said
    codes = {str(part[name]).lower() for part in parts for name in _CODES if _is_code(part.get(name))}
    pauses = (parse_span(str(part[name])) for part in parts for name in _PAUSES if name in part)
    pause = next((seconds for seconds in pauses if seconds is not None), None)
    return ServerWords(shown(said[0]) if said else "", frozenset(codes), " | ".join(told)[:10_000], pause)


def shown(text: str) -> str:
    """A server's text as a message may hold it."""
    return one_line(" ".join(text[:10_000].split()), MESSAGE_LIMIT)


def _parts(found: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """The objects that may say something: the outermost one, and those in the places where errors are put."""
    if isinstance(found, list) and depth <= _DEEPEST:
        for one in found[:_MOST_PARTS]:
            yield from _parts(one, depth + 1)
    elif isinstance(found, dict):
        yield found
        for name in _INSIDE if depth < _DEEPEST else ():
            inner = found.get(name)
            if isinstance(inner, dict | list):
                yield from _parts(inner, depth + 1)


def _words(part: Mapping[str, Any]) -> Iterator[str]:
    for name in (*_MESSAGE, "error", *_MORE_WORDS):
        value = part.get(name)
        if isinstance(value, str) and value.strip().lower() not in _EMPTY_WORDS:
            yield value
        elif name == "message" and isinstance(value, list) and value and all(isinstance(one, str) for one in value):
            yield json.dumps(value)


def _is_code(value: Any) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= 100
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9


# What it means.

_ACCOUNT_CODES = frozenset(
    (
        *("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error", "billing_limit"),
        *("insufficient_credits", "insufficient_credit", "insufficient_balance", "insufficient_funds", "arrearage"),
        *("insufficient_user_quota", "credit_balance_too_low", "payment_required", "quota_exhausted", "no_credits"),
        *("invalid_api_key", "api_key_invalid", "incorrect_api_key", "api_key_expired", "expired_api_key"),
        *("invalidapikey", "accountoverdueerror", "account_overdue", "account_deactivated", "account_suspended"),
        *("access_terminated", "authentication_error", "unauthenticated", "invalid_authentication"),
        *("credit_limit", "budget_exceeded", "spending_limit", "invalid_token", "token_expired", "expired_token"),
    )
)
_ACCOUNT = re.compile(
    r"check your plan and billing|billing (hard )?limit|(insufficient|not enough|out of|run out of) \w* ?"
    r"(quota|credit|balance|fund)|(quota|credits?|balance|free (tier|trial)) (has been |have been |is |are )?"
    r"(exhausted|used up|depleted|too low)|exceeded your (current|monthly) (\w+ )?(quota|spend|budget|credits)"
    r"|api[ _-]?key (is )?(not valid|invalid|expired|revoked|disabled|not found)|(invalid|incorrect) api[ _-]?key"
    r"|\b(account|organi[sz]ation|subscription|api key)\b.{0,40}\b(suspended|deactivated|terminated|overdue|past due)"
    r"|payment (is )?required|\btop up\b|(spend|spending|credit) limit\b|billed users|enable billing"
    r"|(used|spent) all \S* ?(available |of your )?(credits|quota)|(have|has|n't have) (any|no|enough) credits"
    r"|requires more credits|(purchase|buy|add) (more )?(credits|funds)|over ?budget|budget has been exceeded"
    r"|(invalid|expired|missing) (authentication|access|auth|bearer) token|(access|auth|bearer) token (is|has) "
    r"(invalid|expired|revoked)|login fail|\barrears\b|欠费|余额不足",
    re.IGNORECASE,
)
_DAILY = re.compile(
    r"\bper[ _-]?day|\bdaily (limit|quota|rate)|\(RPD\)|per[ _-]?month\b|\bmonthly (limit|quota)|perday", re.IGNORECASE
)
_BRIEF = re.compile(r"per[ _-]?(minute|second|hour)|\((RPM|TPM|IPM)\)|(retry|try again) (in|after) \d", re.IGNORECASE)

_MODERATED_CODES = frozenset(
    (
        *("moderation_blocked", "content_policy_violation", "content_filter", "content_filtered", "image_safety"),
        *("safety", "prohibited_content", "blocklist", "moderated", "content moderated", "request moderated", "nsfw"),
        *("datainspectionfailed", "data_inspection_failed", "inputtextsensitivecontentdetected", "sensitive_content"),
        *("image_prohibited_content", "image_recitation", "responsibleaipolicyviolation", "content_violation", "spii"),
    )
)
# Words of a refusal for content; not those of a complaint about `safety_setting` or a case-sensitive value.
_MODERATED = re.compile(
    r"(?<!['\"`])moderat|content.polic|usage.polic|usage guideline|content.(filter|violat)|responsible ai|nsfw"
    r"|prohibited (content|use)|inappropriate|(input|prompt|request|content|image)s? (was|were|has been|have been|is) "
    r"flagged|flagged (as|for|by)|violat\w+ (\S+ ){0,4}(polic|guideline|terms|rules)|sexual content|sexually explicit"
    r"|safety (system|filter|polic|guideline|check|reason|violation)|(?<!case[ -])(?<![a-z])sensitive\b"
    r"|(input|prompt|content|image) flagged",
    re.IGNORECASE,
)

_MODEL_CODES = frozenset(
    (
        *("model_not_found", "model_not_exist", "modelnotfound", "unknown_model", "invalid_model", "unsupported_model"),
        *("model_not_supported", "model_not_available", "model_deprecated", "model_decommissioned", "modelnotopen"),
    )
)
_ID = r"[`'\"“]?[\w./:@+-]*[`'\"”]?"
_MODEL = re.compile(
    rf"\bmodels?\b[ :/]{{0,2}}{_ID} (does not exist|doesn't exist|not found|not exist|(is|was) (not found|unknown|not "
    r"(a )?(valid|supported|available|recogni[sz]ed)|deprecated|no longer available)|has been (deprecated|removed))"
    r"|\b(unknown|invalid|unsupported|no such|unrecogni[sz]ed|nonexistent) model\b|not a valid model"
    r"|no endpoints? found (for|matching)|unable to access (\S+ )?model",
    re.IGNORECASE,
)

_ROUTE_CODES = frozenset({"unknown_url", "route_not_found", "method_not_allowed"})
_ROUTE = re.compile(
    r"\bcannot (post|get)\b|no route|unknown (request )?url|invalid url|method not allowed|not implemented"
    r"|\b(route|url|path|page|endpoint|operation)\b.{0,120}(not found|does(n't| not) exist)"
    r"|no such (endpoint|route|page|path)|missing authentication token|no static resource"
    r"|\Anot[ _]found\.?\Z|\A(the requested )?resource (could )?not (be )?found\.?\Z",
    re.IGNORECASE,
)

_THROTTLED_CODES = frozenset(
    {"429", "rate_limit_exceeded", "rate_limit_error", "too_many_requests", "throttling", "resource_exhausted"}
)
_THROTTLED = re.compile(r"rate.?limit|too many requests|slow down|throttl", re.IGNORECASE)
_UNAVAILABLE_CODES = frozenset(
    (
        *("500", "502", "503", "504", "529", "server_error", "internal_error", "internal_server_error", "internal"),
        *("service_unavailable", "unavailable", "overloaded", "overloaded_error", "deadline_exceeded", "timeout"),
    )
)
_UNAVAILABLE = re.compile(
    r"overloaded|temporarily unavailable|service (is )?unavailable|internal (server )?error|try again later|at capacity"
    r"|timed? ?out",
    re.IGNORECASE,
)


def is_account(said: ServerWords) -> bool:
    """Whether an error is about the key, the quota or the money of the account, and so about every request.

    Google says the same words for a minute's quota as for an empty account: those that name a short span do not count,
    unless a day's or a month's quota is named as well.
    """
    if said.codes & _ACCOUNT_CODES:
        return True
    return bool(_ACCOUNT.search(said.words)) and not is_brief(said)


def names_account(said: ServerWords) -> bool:
    """The same by its codes alone, for answers whose words may be about anything."""
    return bool(said.codes & _ACCOUNT_CODES)


def names_moderation(said: ServerWords) -> bool:
    """Whether a code says that the content is refused."""
    return bool(said.codes & _MODERATED_CODES)


def is_brief(said: ServerWords) -> bool:
    """Whether a limit is one that a pause of minutes gets over."""
    spans = " ".join((said.words, *said.codes))
    return bool(_BRIEF.search(spans)) and not is_daily(said)


def is_daily(said: ServerWords) -> bool:
    """Whether a limit is one of a day or a month."""
    return bool(_DAILY.search(" ".join((said.words, *said.codes))))


def is_moderated(said: ServerWords) -> bool:
    """Whether the content of a request is refused."""
    return bool(said.codes & _MODERATED_CODES or _MODERATED.search(said.words))


def is_model(said: ServerWords) -> bool:
    """Whether the API does not know, or no longer has, the model that was asked for."""
    return bool(said.codes & _MODEL_CODES or _MODEL.search(said.words))


def is_route(said: ServerWords) -> bool:
    """Whether a server says of the address that there is nothing at it."""
    words = said.words.partition(" | ")[0].strip()
    return bool(said.codes & _ROUTE_CODES or _ROUTE.search(words))


def is_throttled(said: ServerWords) -> bool:
    """Whether an error asks for a pause."""
    return bool(said.codes & _THROTTLED_CODES or _THROTTLED.search(said.words))


def is_unavailable(said: ServerWords) -> bool:
    """Whether an error is the server's own trouble, and passes."""
    return bool(said.codes & _UNAVAILABLE_CODES or _UNAVAILABLE.search(said.words))
