"""Text for people: foreign text made harmless, and numbers made readable."""

import unicodedata
from urllib.parse import urlsplit

_KEPT = frozenset("\n\t")

# What has no shape of its own, or changes the order or the lines of what stands around it: a terminal may obey it.
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# Two format characters that only join letters into one sign; without them emoji and several scripts fall apart.
_JOINERS = frozenset("\u200c\u200d")


def printable(text: str, limit: int | None = None) -> str:
    r"""Text from elsewhere as a terminal or a log may show it.

    Control characters but line feed and tab, the marks that reverse the direction of writing, lone surrogates and line
    separators are written as escapes such as `\x1b` and `\u202e`.

    Args:
        text: Anything.
        limit: Characters after which it is cut, with an ellipsis in the last place; None for no limit.
    """
    if text.isprintable():  # as nearly every text is
        shown = text
    else:
        shown = "".join(character if _is_harmless(character) else _escaped(character) for character in text)
    return shown if limit is None or len(shown) <= limit else f"{shown[: limit - 1]}…"


def one_line(text: str, limit: int | None = None) -> str:
    """The same in one line: line feeds and tabs are escaped too."""
    return printable(printable(text).replace("\n", "\\n").replace("\t", "\\t"), limit)


def _is_harmless(character: str) -> bool:
    return (
        character.isprintable()
        or character in _KEPT
        or character in _JOINERS
        or unicodedata.category(character) not in _HARMFUL
    )


def _escaped(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def without_query(url: str) -> str:
    """A URL as it may be shown: what follows `?` may be a signature that lets its reader in."""
    if url[:5].lower() == "data:":
        return f"{url.partition(',')[0][:60]},…"
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("?")[0].partition("#")[0].rpartition("@")[2]
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.scheme else parts.path


def grouped(number: int) -> str:
    """A whole number with its thousands set apart: 1,234,567."""
    return f"{number:,}"


def short(number: int) -> str:
    """A large whole number where there is little room: 9,999, then 56.2k, then 1.6M."""
    if number < 10_000:
        return grouped(number)
    return f"{number / 1e3:.1f}k" if number < 999_950 else f"{number / 1e6:,.1f}M"


def plural(number: int, noun: str) -> str:
    """A number and what it counts: `1 image`, `1,200 images`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def usd(amount: float) -> str:
    """Dollars to the cent; below a dollar to a hundredth of one where that says more: `$0.50`, `$0.078`."""
    if 0 < amount < 0.00005:
        return "<$0.0001"
    cents, more = f"${amount:,.2f}", f"${amount:,.4f}".rstrip("0")
    return more if amount < 1 and len(more) > len(cents) else cents


def duration(seconds: float) -> str:
    """A span of time in its two largest units: `0.8 s`, `42 s`, `3 min 5 s`, `2 h 10 min`."""
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def clock(seconds: float) -> str:
    """A span of time that runs down, as a clock shows it: `0:07`, `10:41`, `2:03:00`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
