"""What is read as the value of a key: each way to write it, and the error where it is none of them."""

import codecs
import math
import re
from contextlib import suppress
from pathlib import PurePath
from typing import Any

from pydantic_core import PydanticCustomError

from pipeline import proxies, settings
from pipeline.errors import UsageError
from pipeline.job import naming, template
from pipeline.job.yaml.scalars import Scalar, shown, value_of
from pipeline.providers.model_rules import nearest

_ENCODINGS = (
    *("windows-1252", "windows-1251", "utf-16", "shift_jis", "gb18030"),
    *("big5", "euc-kr", "mac-roman", "latin-1", "iso-8859-15", "utf-8"),
)
"""The names of encodings to suggest."""

_RATIO = re.compile(r"(\d{1,5}(?:\.\d{1,3})?)\s*[:x×/]\s*(\d{1,5}(?:\.\d{1,3})?)", re.IGNORECASE)
_AMOUNT = r"\d{1,9}(?:\.\d{1,3})?"
_UNITS = {
    unit: seconds
    for units, seconds in {
        "s sec secs second seconds": 1,
        "m min mins minute minutes": 60,
        "h hr hrs hour hours": 3600,
        "d day days": 86_400,
        "w week weeks": 604_800,
    }.items()
    for unit in units.split()
}
_PART = re.compile(rf"({_AMOUNT})\s*({'|'.join(sorted(_UNITS, key=len, reverse=True))})(?![a-z])", re.IGNORECASE)
_SPAN = re.compile(rf"\s*{_PART.pattern}(?:[\s,]*{_PART.pattern})*\s*", re.IGNORECASE)


def wrong(found: str, cure: str) -> PydanticCustomError:
    """The error that a value is not what its key takes."""
    return PydanticCustomError("mistake", "{found}", {"found": found, "cure": cure})


def _is(value: Any, cure: str) -> PydanticCustomError:
    return wrong("is empty" if value is None or value == "" else f"is {shown(value)}", cure)


def text(value: Any) -> str:
    """Text that is not empty, without the white space around it; a number as it was written."""
    if isinstance(value, Scalar):
        return value.text
    if not isinstance(value, str) or not value.strip():
        raise _is(value, "write text")
    return value.strip()


def literal(value: Any) -> str:
    """A variable's value: as it was written, and it may be empty."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Scalar):
        raise _is(value, "write text, a number, or a list of them")
    return value.text


def whole(value: Any) -> int:
    """A whole number, also one in quotes or in a cell."""
    found = value_of(value)
    if isinstance(found, str) and re.fullmatch(r"\s*[-+]?\d{1,20}\s*", found):
        return int(found)
    if not isinstance(found, int) or isinstance(found, bool):
        raise _is(value, "write a whole number")
    return found


def number(value: Any) -> float:
    """A finite number."""
    found = value_of(value)
    if not isinstance(found, int | float) or isinstance(found, bool) or not math.isfinite(found):
        raise _is(value, "write a number")
    return found


def span(value: Any) -> float:
    """A span of time in seconds: a number of them, or with units as in `90s`, `5 minutes`, `1h 30m`, `30d`."""
    if isinstance(value, str) and _SPAN.fullmatch(value):
        return sum(float(amount) * _UNITS[unit.lower()] for amount, unit in _PART.findall(value))
    if isinstance(value, str) and re.fullmatch(rf"\s*{_AMOUNT}\s*", value):
        return float(value)
    try:
        return number(value)
    except PydanticCustomError:
        raise _is(value, "write a span of time such as 90s, 5 minutes, 2h or 30d, or a number of seconds") from None


def name(value: Any) -> str:
    """Text that can name a file."""
    written = text(value)
    if problem := naming.id_problem(written):
        message, cure = problem
        raise wrong(f"is {shown(written)}, which {message}", cure)
    return written


def item_id(value: Any) -> str:
    """An entry's id: text that can name a file, or a template such as `{sku}-front` for one."""
    written = text(value)
    if "{" not in written and "}" not in written:
        return name(written)
    try:
        template.parse(written)
    except template.BadTemplate as error:
        raise wrong(error.message, error.cure) from None
    return written


def encoding(value: Any) -> str:
    """The name of a text encoding that Python knows."""
    written = text(value)
    try:
        # `decode` refuses what is no encoding of text, such as `zip`; the other what can't be read piece by piece.
        with suppress(UnicodeDecodeError):
            b"text".decode(written)
        codecs.getincrementaldecoder(written)
    except (LookupError, UnicodeError, ValueError):
        likely = nearest(written, _ENCODINGS)
        hint = f"did you mean {likely}?" if likely else f"for example {', '.join(_ENCODINGS[:4])}"
        raise wrong(f"is {shown(written)}, which is not a text encoding", hint) from None
    return written


def ratio(value: Any) -> str:
    """A ratio `W:H`, however it was written: `16:9`, `16x9`, `16/9`, `16 : 9`; or a word such as `auto`."""
    written = text(value)
    if re.fullmatch(r"[A-Za-z]+", written):
        return written.lower()
    match = _RATIO.fullmatch(written)
    if not match or not float(match[1]) or not float(match[2]):
        raise _is(value, "write width:height, for example 16:9")
    return f"{float(match[1]):g}:{float(match[2]):g}"


def listed(value: Any) -> Any:
    """A list; a single value is a list of one, and text may hold several with commas or spaces between them."""
    if isinstance(value, str):
        return re.split(r"\s*,\s*|(?<![:x×/\s])\s+(?![:x×/\s])", value.strip())
    return [value] if isinstance(value, Scalar) else value


def one_or_more(value: Any) -> list[str]:
    """The values of a variable, each once; a single one is a list of one."""
    if isinstance(value, str | Scalar):
        return [literal(value)]
    if value == []:
        raise wrong("is empty", "write at least one value")
    if not isinstance(value, list):
        raise _is(value, "write text, a number, or a list of them")
    found: dict[str, None] = {}
    for written in map(literal, value):
        if written in found:
            raise wrong(f"has {shown(written)} twice", "keep one of the two")
        found[written] = None
    return list(found)


def variables(value: Any) -> Any:
    """Variables and their values, where each name can stand in braces."""
    for written in value if isinstance(value, dict) else ():
        if not template.NAME.fullmatch(written):
            cure = "begin it with a letter; use letters, digits, _"
            raise wrong(f"has {shown(written)}, which can't stand in braces", cure)
    return value


def endpoint(value: Any) -> str:
    """`aimlapi`, `sandbox`, or the base URL of a server."""
    written = text(value)
    if written in ("aimlapi", "sandbox"):
        return written
    if "/" not in written and ":" not in written:
        likely = nearest(written, ("aimlapi", "sandbox"))
        hint = f"did you mean {likely}? " if likely else ""
        raise wrong(f"is {shown(written[:20])}", f"{hint}it is aimlapi, sandbox, or the base URL of a server")
    try:
        return settings.base_url(written, "it")
    except UsageError:
        # Not the text itself: a URL may hold what nobody should see.
        cure = "write http:// or https:// and a host; user names, queries and keys have no place in it"
        raise wrong("is no base URL", cure) from None


def folder(value: Any) -> str:
    """The path of a folder."""
    written = text(str(value) if isinstance(value, PurePath) else value)
    if "\0" in written or len(written) > 1000:
        raise wrong("can't name a folder", "write the path of a folder")
    return written


def proxy(value: Any) -> str:
    """The URL of a proxy without a user name, or the word for none."""
    written = text(value)
    if written == proxies.DIRECT:
        return written
    if "@" in written:
        # Not the text itself: what stands before the @ is a password.
        raise wrong("holds a user name", "set HTTPS_PROXY to the whole URL instead: a job file is no place for secrets")
    try:
        proxies.parsed(written, "it")
    except UsageError:
        raise _is(value, f"write http://HOST:PORT, or {proxies.DIRECT} to ask without a proxy") from None
    return written


def user_agent(value: Any) -> str:
    """The name that servers see, as a header can hold it."""
    written = text(value)
    if not written.isascii() or not written.isprintable() or len(written) > 500:
        raise wrong("is not a name that a header can hold", "write up to 500 printable ASCII characters")
    return written
