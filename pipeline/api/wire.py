"""What an answer of the API means. Pure: bytes in, a verdict out; nothing here does I/O.

The rule behind all of it: by what is *known*, not by the class of an exception. An error in the vendor's own form is
documented as not billed and may be tried again; an error that some machine between us made says nothing about the
bill. The vendor's form is a JSON object with a `message` and a `requestId` or `statusCode`, or any answer that carries
`x-inference-id`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import (
    GiveUp,
    KeyRefused,
    MaybeBilled,
    PipelineError,
    RateLimited,
    Unavailable,
    UsageError,
)
from pipeline.retry import parse_retry_after
from pipeline.text import one_line, without_query

MESSAGE_LIMIT = 300
"""Characters of a server's message that are shown."""

_ITEM_FAULT = frozenset({400, 404, 405, 413, 414, 415, 422, 451})
"""What no machine on the way says of a request that it has passed on."""

# Words of a refusal for content; not those of a complaint about `safety_setting` or a case-sensitive value.
_MODERATION = re.compile(
    r"moderat|content.polic|usage.polic|responsible ai|prohibited (content|use)|nsfw"
    r"|safety (system|filter|polic|guideline|check|reason|violation)|(?<!case[ -])\bsensitive\b",
    re.IGNORECASE,
)


_ABSURD = 2**53
"""A sum from which on it is nonsense, and no longer exact."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one POST.

    Attributes:
        status: The HTTP status.
        headers: The headers, names in lower case.
        body: The body as it came.
        whole: False when the connection ended within the body.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = True

    @property
    def inference_id(self) -> str | None:
        """The vendor's own id of the request, or None."""
        return _header(self, "x-inference-id")

    @property
    def sandbox(self) -> bool:
        """Whether a sandbox of this project answered, whatever the endpoint claims to be."""
        return "x-pipeline-sandbox" in self.headers


def verdict(answer: Answer) -> PipelineError | None:
    """What an answer other than a paid one asks the caller to do, as the error to raise; None when it is paid for.

    | status | meaning |
    |---|---|
    | 200, 201 | paid |
    | 3xx | the endpoint is elsewhere: the run stops, a POST is never redirected |
    | 401, 402, 403 | the key or the account: the run stops |
    | another 2xx, 408, 52x, a 5xx or a rare 4xx that is not in the vendor's form | nobody can say if it was billed |
    | 425, 429 | everybody waits |
    | 500, 502, 503, 504 in the vendor's form | not billed, may be tried again |
    | 400, 404, 405, 413, 414, 415, 422, 451, another 4xx in the vendor's form | the item's own fault |
    """
    status = answer.status
    if status in (200, 201):
        # Even when it was cut off: once its headers are here, nobody asks (and pays) again.
        return None
    said = _message(answer)
    if 300 <= status < 400:
        return UsageError(_moved(answer))
    if status in (401, 402, 403):
        return KeyRefused(_refused(status, said))
    if status in (425, 429):
        return RateLimited(f"{status}: {said}", _retry_after(answer))
    if status in (500, 502, 503, 504) and _is_vendors(answer):
        return Unavailable(f"{status}: {said}", _retry_after(answer))
    if answer.whole and (status in _ITEM_FAULT or (400 <= status < 500 and status != 408 and _is_vendors(answer))):
        return GiveUp(f"{status}: {said}", cause="moderated" if _MODERATION.search(said) else "rejected")
    return MaybeBilled(f"{status} from a machine between us and the API: {said}")


def cost(answer: Answer) -> tuple[int | None, float | None]:
    """Tokens and USD by the headers of a paid answer; None for what they do not say."""
    return whole_number(answer.headers.get("x-aimlapi-credits-used")), amount(answer.headers.get("x-aimlapi-usd-spent"))


def amount(value: Any) -> float | None:
    """A sum as a number of at least zero and within reason, or None where it is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number < _ABSURD and not isinstance(value, bool) else None


def whole_number(value: Any) -> int | None:
    """The same as a whole number."""
    number = amount(value)
    return None if number is None else int(number)


def parse_json(body: bytes) -> Any:
    """A JSON document as Python values.

    Raises:
        ValueError: It is none, or is nested deeper than anything sensible.
    """
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _header(answer: Answer, name: str) -> str | None:
    value = answer.headers.get(name)
    return one_line(value, 200) if value else None


def _retry_after(answer: Answer) -> float | None:
    return parse_retry_after(answer.headers.get("retry-after"), answer.headers.get("date"))


def _is_vendors(answer: Answer) -> bool:
    return "x-inference-id" in answer.headers or _vendor_body(answer) is not None


def _vendor_body(answer: Answer) -> dict[str, Any] | None:
    try:
        found = parse_json(answer.body)
    except ValueError:
        return None
    if isinstance(found, dict) and "message" in found and ("requestId" in found or "statusCode" in found):
        return found
    return None


def _message(answer: Answer) -> str:
    """What a person should read of an answer: the vendor's message, or else what kind of thing the body is."""
    try:
        found = parse_json(answer.body)
    except ValueError:
        kind = answer.headers.get("content-type", "").split(";")[0] or "no content type"
        return f"{len(answer.body)} bytes of {one_line(kind, 60)}"
    said: Any = found
    if isinstance(found, dict):
        # OpenAI's servers wrap it once more: {"error": {"message": …}}.
        inner = found.get("error")
        said = found.get("message") or (inner.get("message") if isinstance(inner, dict) else inner) or found
    text = said if isinstance(said, str) else json.dumps(said)
    return one_line(" ".join(text.split()), MESSAGE_LIMIT)


def _refused(status: int, said: str) -> str:
    cure = {
        401: "check the key in AIML_API_KEY",
        402: "top up the account",
        403: "top up the account, or check what its plan and its key allow",
    }[status]
    return f"the API refused the key or the account ({status}: {said}); {cure}. What was in flight has been recorded."


def _moved(answer: Answer) -> str:
    target = one_line(without_query(answer.headers.get("location", "")), 200) or "an unnamed place"
    return f"the endpoint answered {answer.status} and points to {target}: correct the endpoint (or AIML_API_BASE)"
