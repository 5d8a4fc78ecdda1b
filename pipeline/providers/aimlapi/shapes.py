"""Find the pictures and the cost in a paid answer, in every shape that this API and its kin send.

A picture is an object, or the bare text of its URL or its base64, in one of the places where servers put them:

    {"data": [{"url" | "b64_json": …}]}                                   OpenAI and most others
    {"images": [{"url": …}]}                                              fal, also beside `data`
    {"output": {"choices": [{"image_base64": …}]}}, {"output": URL | [URL]}   Replicate and others
    {"predictions": [{"bytesBase64Encoded": …}]}                          Vertex
    {"candidates": [{"content": {"parts": [{"inlineData": {"data": …}}]}}]}   Gemini
    {"choices": [{"message": {"images": [{"image_url": {"url": …}}]}}]}   chat
    {"artifacts": [{"base64": …}]}                                        Stability

Where an answer offers the same picture in several ways, all are kept: its bytes, its URL, further URLs.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from pipeline.generated import GeneratedImage, Generation
from pipeline.http.document import JsonDocument, Span, parse
from pipeline.http.wire import Answer, amount, cost, whole_number
from pipeline.providers.aimlapi import ticket
from pipeline.providers.aimlapi.encoded import EncodedPicture
from pipeline.providers.aimlapi.flags import flag_of, flags_of_all

_BARE = (
    *("data", "images", "image", "image_url", "output", "outputs", "results", "result", "predictions", "artifacts"),
    *("generated_images", "generatedImages"),
)
"""Names under which pictures are put, also as bare texts."""

_PLACES = (*_BARE, "choices", "candidates", "message", "content", "parts", "response")
"""The same, and names under which the objects are put that hold them, beside texts that are something else."""

_URL = ("url", "urls", "image_url", "imageUrl", "imageURL", "image", "uri", "download_url", "signed_url", "fileUri")
_BASE64 = (
    *("b64_json", "image_base64", "base64", "b64", "bytesBase64Encoded", "imageBytes", "image_bytes"),
    *("imageBase64Data", "imageBase64", "base64_image"),
)
_INLINE = ("inlineData", "inline_data", "source")
_REWRITE = ("revised_prompt", "revisedPrompt", "prompt")
_TYPE = ("mime_type", "content_type", "mimeType", "media_type")
_BASE64_OF_A_PICTURE = re.compile(r"\s*(iVBORw0KGg|[/_]9j[/_]|UklGR|AAAA..Z0eX|R0lGOD|SUkq|TU0AK)")
"""How PNG, JPEG, WebP, AVIF and HEIC, GIF and TIFF begin in base64."""

_DEEPEST = 6
_MOST = 100
"""Pictures of one answer that are looked at; nobody asks for more than ten."""

_LONGEST_TEXT = 256 * 1024
"""Characters of a URL or a prompt, at most."""

Number = TypeVar("Number", int, float)


def understand(answer: Answer) -> Generation:
    """A paid answer as what it holds.

    Raises:
        ValueError: It is neither a JSON object nor a list; nobody can say what was paid for.
    """
    return read(answer)[1]


def read(answer: Answer) -> tuple[JsonDocument, Generation]:
    """The same, with the document it was read from."""
    document = JsonDocument({}) if ticket.located(answer) else parse(answer.body)
    if isinstance(document.value, list):
        document = replace(document, value={"data": document.value})
    found = document.value
    if not isinstance(found, dict):
        raise ValueError(f"it is a JSON {type(found).__name__} instead of an object")  # noqa: TRY004 - of the text
    tokens, usd = cost(answer)
    usage = _usage(found)
    return document, Generation(
        images=_Pictures(document).all(),
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


class _Pictures:
    """The pictures of one document."""

    def __init__(self, document: JsonDocument) -> None:
        self._root: Mapping[str, Any] = document.value
        self._long = document.long

    def all(self) -> tuple[GeneratedImage, ...]:
        """All of them, in the answer's order, each once."""
        found: list[GeneratedImage] = []
        for place in _PLACES:
            more = list(islice(self._in(self._root.get(place), 0, bare=place in _BARE), _MOST))
            # A second list of as many pictures is the same ones once more; of another number, nobody knows.
            if found and len(more) == len(found):
                found = [_both(one, other) for one, other in zip(found, more, strict=True)]
            found = found or more
        if not found and (encoded := self._text(self._root, _BASE64)):
            found = [self._made(self._root, [], self._encoded(encoded))]
        flags = flags_of_all(self._root, len(found))
        return tuple(replace(one, flagged=one.flagged or flag) for one, flag in zip(found, flags, strict=True))

    def _in(self, value: Any, depth: int, *, bare: bool) -> Iterator[GeneratedImage]:
        """The pictures in what stands at one of the places."""
        if depth > _DEEPEST:
            return
        if isinstance(value, list):
            for one in value:
                yield from self._in(one, depth + 1, bare=bare)
        elif isinstance(value, str) and bare:
            picture = self._bare(value, listed=depth > 0)
            if picture:
                yield picture
        elif isinstance(value, dict):
            picture = self._picture(value)
            if picture:
                yield picture
                return
            for place in _PLACES:
                inner = list(islice(self._in(value.get(place), depth + 1, bare=place in _BARE), _MOST))
                if inner:
                    yield from inner
                    return

    def _bare(self, text: str, *, listed: bool) -> GeneratedImage | None:
        """A text as a picture: in a list of pictures it is one, alone only where it looks like one."""
        if text in self._long or _is_data(text) or _BASE64_OF_A_PICTURE.match(text):
            return self._made({}, [], self._encoded(text))
        url = text.strip()
        sure = "://" in url[:16] or url.startswith("/")
        return self._made({}, [url], None) if url and (listed or sure) and not any(map(str.isspace, url)) else None

    def _picture(self, entry: Mapping[str, Any]) -> GeneratedImage | None:
        """An object as a picture, None where it does not hold one itself."""
        encoded = self._text(entry, _BASE64)
        for name in _INLINE:
            inline = entry.get(name)
            if isinstance(inline, dict) and encoded is None:
                encoded, entry = self._text(inline, ("data",)), {**inline, **entry}
        urls: list[str] = []
        for name in _URL:
            for url in _urls(entry.get(name)):
                if _is_data(url) or url in self._long:
                    encoded = encoded or url
                elif url.strip():
                    urls.append(url.strip())
        if not urls and encoded is None:
            return None
        return self._made(entry, urls, None if encoded is None else self._encoded(encoded))

    def _made(self, entry: Mapping[str, Any], urls: list[str], data: EncodedPicture | None) -> GeneratedImage:
        rewrite = self._text(entry, _REWRITE)
        plain = [url for url in dict.fromkeys(map(_storable, urls)) if len(url) <= _LONGEST_TEXT]
        return GeneratedImage(
            url=plain[0] if plain else None,
            data=data,
            revised_prompt=_storable(self._whole(rewrite)) if rewrite else None,
            mime_type=self._text(entry, _TYPE),
            more_urls=tuple(plain[1:]),
            flagged=flag_of(entry),
        )

    def _encoded(self, text: str) -> EncodedPicture:
        span: Span | None = self._long.get(text)
        return EncodedPicture.of(text) if span is None else EncodedPicture(span, escaped=True)

    def _text(self, entry: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
        return next((value for name in names if isinstance(value := entry.get(name), str) and value.strip()), None)

    def _whole(self, text: str) -> str:
        """A text that may have been cut out of the document for its length."""
        span = self._long.get(text)
        if span is None:
            return text
        # Longer than any prompt: it is not worth the memory.
        return (
            str(json.loads(b'"' + span.slice(0, len(span)) + b'"', strict=False)) if len(span) <= _LONGEST_TEXT else ""
        )


def _urls(value: Any) -> Iterator[str]:
    """The URLs in what stands where a URL is expected: a text, a list of them, or an object with one."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _urls(value.get("url")) if isinstance(value.get("url"), str) else ()
    elif isinstance(value, list):
        yield from (one for one in value[:_MOST] if isinstance(one, str))


def _both(one: GeneratedImage, other: GeneratedImage) -> GeneratedImage:
    """The same picture as two places have it."""
    urls = dict.fromkeys(url for url in (one.url, *one.more_urls, other.url, *other.more_urls) if url)
    first, *more = urls or [None]
    return GeneratedImage(
        url=first,
        data=one.data or other.data,
        revised_prompt=one.revised_prompt or other.revised_prompt,
        mime_type=one.mime_type or other.mime_type,
        more_urls=tuple(url for url in more if url),
        flagged=one.flagged or other.flagged,
    )


def _is_data(text: str) -> bool:
    return text[:16].lstrip().lower().startswith("data:")


def _storable(text: str) -> str:
    """The text without lone surrogates, which JSON can hold and neither SQLite nor UTF-8 can."""
    return text.encode("utf-8", "replace").decode("utf-8")
