"""Find the pictures and the cost in a paid answer, in every shape that this API and its kin send.

The shapes (each picture an object, or the bare text of its URL or its base64):

    {"data": [{"url" | "b64_json": …}]}
    {"images": [{"url": …}]}
    {"output": {"choices": [{"image_base64": …}]}}
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pipeline.api.wire import Answer, amount, cost, parse_json, whole_number
from pipeline.model import GeneratedImage, Generation

_URL = ("url", "image_url")
_BASE64 = ("b64_json", "image_base64", "base64")
_REWRITE = ("revised_prompt", "prompt")
_TYPE = ("mime_type", "content_type")
_BASE64_OF_A_PICTURE = ("iVBORw0KGg", "/9j/", "UklGR")
"""How PNG, JPEG and WebP begin in base64."""

Number = TypeVar("Number", int, float)


def understand(answer: Answer) -> Generation:
    """A paid answer as what it holds.

    Raises:
        ValueError: It is no JSON object; nobody can say what was paid for.
    """
    found = parse_json(answer.body)
    if not isinstance(found, dict):
        raise ValueError(f"a JSON {type(found).__name__} instead of an object")  # noqa: TRY004 - of the text, not of a caller
    tokens, usd = cost(answer)
    usage = _usage(found)
    return Generation(
        images=tuple(_pictures(found)),
        tokens_used=_first(whole_number(usage.get("tokens_used")), whole_number(usage.get("credits_used")), tokens),
        usd=_first(amount(usage.get("usd_spent")), usd),
    )


def _first(*candidates: Number | None) -> Number | None:
    return next((number for number in candidates if number is not None), None)


def _usage(found: Mapping[str, Any]) -> Mapping[str, Any]:
    for holder in (found.get("meta"), found):
        if isinstance(holder, dict) and isinstance(holder.get("usage"), dict):
            usage: dict[str, Any] = holder["usage"]
            return usage
    return {}


def _pictures(found: Mapping[str, Any]) -> Iterator[GeneratedImage]:
    output = found.get("output")
    choices = output.get("choices") if isinstance(output, dict) else None
    entries = next((some for some in (found.get("data"), found.get("images"), choices) if isinstance(some, list)), [])
    for entry in entries:
        picture = _picture(entry if isinstance(entry, dict) else _bare(entry))
        if picture:
            yield picture


def _bare(text: Any) -> Mapping[str, Any]:
    return {"b64_json" if isinstance(text, str) and text.lstrip().startswith(_BASE64_OF_A_PICTURE) else "url": text}


def _picture(entry: Mapping[str, Any]) -> GeneratedImage | None:
    url, encoded = _text(entry, _URL), _text(entry, _BASE64)
    if url and _is_data(url):
        url, encoded = None, url
    if not url and not encoded:
        return None
    rewrite = _text(entry, _REWRITE)
    return GeneratedImage(
        url=_storable(url.strip()) if url else None,
        data=_decode(encoded) if encoded and not url else None,
        revised_prompt=_storable(rewrite) if rewrite else None,
        mime_type=_text(entry, _TYPE),
    )


def _text(entry: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((value for name in names if isinstance(value := entry.get(name), str) and value.strip()), None)


def _is_data(text: str) -> bool:
    return text[:16].lstrip().lower().startswith("data:")


def _decode(encoded: str) -> bytes:
    """The bytes of a base64 text or data URI; what can't be decoded becomes bytes that no picture check accepts."""
    text = "".join((encoded.partition(",")[2] if _is_data(encoded) else encoded).split()).rstrip("=")
    try:
        # Some servers leave out the padding.
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _storable(text: str) -> str:
    """The text without lone surrogates, which JSON can hold and neither SQLite nor UTF-8 can."""
    return text.encode("utf-8", "replace").decode("utf-8")
