"""An answer of the API as it came over the wire, and the sums that its headers name. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.http.document import is_deep
from pipeline.text import one_line

SANDBOX_HEADER = "x-pipeline-sandbox"
"""What the answers of a sandbox carry."""

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
    body: bytes | bytearray = b""
    whole: bool = True

    @property
    def inference_id(self) -> str | None:
        """The vendor's own id of the request, or None."""
        return _header(self, "x-inference-id")

    @property
    def sandbox(self) -> bool:
        """Whether a sandbox of this project answered, whatever the endpoint claims to be."""
        return SANDBOX_HEADER in self.headers


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
    if is_deep(body):
        raise ValueError("it is nested too deeply")
    return json.loads(body)


def _header(answer: Answer, name: str) -> str | None:
    value = answer.headers.get(name)
    return one_line(value, 200) if value else None
