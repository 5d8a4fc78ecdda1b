"""How long a server asks to be left alone, in the many ways in which servers say it. Pure."""

import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRY_AFTER_CAP = 86_400.0
"""Seconds beyond which a `Retry-After` is taken as this."""

LONGEST = 31 * 86_400.0
"""Seconds beyond which a pause is no information: no server means it."""

LONGEST_RESET = 3_600.0
"""The same for `x-ratelimit-reset-*`, which also speak of a day's quota when a minute's one is exhausted."""

YEAR = 366 * 86_400.0
"""A number this near to the present, in seconds since 1970, is a moment."""

_NUMBER = re.compile(r"\d{1,20}(\.\d{1,9})?", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "hr": 3600.0, "d": 86_400.0}
_UNIT = r"(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)"
_PART = re.compile(rf"(\d{{1,12}}(?:\.\d{{1,9}})?)\s*{_UNIT}(?![a-z])", re.IGNORECASE | re.ASCII)
# Each part may be followed by the next at once, as in `6m0s`.
_SPAN = re.compile(rf"(?:\d{{1,12}}(?:\.\d{{1,9}})?\s*{_UNIT}\s*)+", re.IGNORECASE | re.ASCII)
_WORDS = re.compile(
    rf"\b(?:try again|retry|resets?|wait|available)(?: again)?(?: in| after| for)? ?~?"
    rf"(?P<span>(?:\d[\d.]*\s?{_UNIT}\s?)+)(?![a-z])",
    re.IGNORECASE | re.ASCII,
)
_RESETS = re.compile(r"(?:x-)?rate-?limit-reset(-[a-z-]+)?|x-rate-limit-reset", re.ASCII)


def parse_retry_after(value: str | None, date: str | None = None, *, now: float | None = None) -> float | None:
    """The seconds that a `Retry-After` header asks for, capped at `RETRY_AFTER_CAP`.

    Seconds or an HTTP date (RFC 9110, 10.2.3). A date is read against the answer's own `Date`, so that no clock need
    be right. Some servers send the moment in seconds or milliseconds since 1970 instead: so is read what is near it.
    Others send a span with its unit (`3s`).

    Args:
        value: The header.
        date: The answer's `Date` header.
        now: Seconds since 1970 where the answer has no date; our own clock by default.

    Returns:
        At least 0; None where there is no such header, or it can't be read, or names a time that no server means.
    """
    value = (value or "").strip()
    sent = _http_date(date or "")
    if _NUMBER.fullmatch(value):
        if sent is not None:
            now = sent.timestamp()
        return _bounded(_seconds(float(value), time.time() if now is None else now))
    until = _http_date(value)
    if until is None:
        return parse_span(value)
    if sent is None:
        return None
    return _bounded((until - sent).total_seconds())


def asked_pause(headers: Mapping[str, str], words: str = "", *, now: float | None = None) -> float | None:
    """The seconds that an answer asks to wait, by whatever says it first; None where nothing does.

    In turn: `retry-after-ms`, `Retry-After`, the limit of `x-ratelimit-reset-*` that is exhausted, and words such as
    "try again in 2s". Only to be asked of an answer that refuses a request for its pace, or for now (429, 503).

    Args:
        headers: The answer's headers, names in lower case.
        words: What its body says.
        now: Seconds since 1970, for answers without a date; our own clock by default.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(milliseconds) and float(milliseconds) <= LONGEST * 1000:
        return _bounded(float(milliseconds) / 1000)
    asked = parse_retry_after(headers.get("retry-after"), headers.get("date"), now=now)
    if asked is not None:
        return asked
    sent = _http_date(headers.get("date", ""))
    present = sent.timestamp() if sent else time.time() if now is None else now
    resets = [seconds for seconds in _resets(headers, present) if seconds <= LONGEST_RESET]
    if resets:
        return max(resets)
    found = _WORDS.search(words)
    return parse_span(found["span"]) if found else None


def parse_span(text: str) -> float | None:
    """A span of time such as `1s`, `6m0s`, `120ms`, `2 minutes` or `34.5` in seconds, capped like a `Retry-After`."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return _bounded(float(text))
    if not _SPAN.fullmatch(text):
        return None
    return _bounded(sum(float(number) * _unit(unit) for number, unit in _PART.findall(text)))


def _unit(name: str) -> float:
    name = name.lower()
    if name.startswith("milli"):
        return 0.001
    return _UNITS.get(name) or _UNITS.get(name.rstrip("s")) or _UNITS[name[0]]


def _resets(headers: Mapping[str, str], now: float) -> Iterator[float]:
    """Seconds until each limit that may be exhausted starts anew."""
    for name, raw in headers.items():
        if not _RESETS.fullmatch(name) or _remains(headers.get(name.replace("reset", "remaining"))):
            continue
        value = raw.strip()
        seconds = _seconds(float(value), now) if _NUMBER.fullmatch(value) else parse_span(value)
        if seconds is None and (moment := _moment(value)) is not None:
            seconds = _bounded(moment - now)
        if seconds is not None:
            yield seconds


def _remains(value: str | None) -> bool:
    """Whether something is left of a limit."""
    return value is not None and bool(_NUMBER.fullmatch(value.strip())) and float(value) > 0


def _seconds(number: float, now: float) -> float | None:
    """A number as seconds from now: near the present it is a moment, in seconds or milliseconds since 1970."""
    for moment in (number, number / 1000):
        if abs(moment - now) <= YEAR:
            return max(0.0, moment - now)
    return number if number <= LONGEST else None


def _bounded(seconds: float | None) -> float | None:
    if seconds is None or seconds > LONGEST:
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_CAP)


def _moment(text: str) -> float | None:
    """A moment in RFC 3339, in seconds since 1970."""
    try:
        return datetime.fromisoformat(text).timestamp() if "T" in text else None
    except (ValueError, OverflowError):
        return None


def _http_date(text: str) -> datetime | None:
    """A date in any of the three forms of HTTP (RFC 9110, 5.6.7); the one without a zone is in UTC like the others."""
    if not text.isascii():
        return None
    try:
        moment = parsedate_to_datetime(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
