"""Signed URLs: until when they work, and how they may be shown to those who must not use them."""

import re
from datetime import UTC, datetime
from urllib.parse import parse_qs, parse_qsl, urlsplit

_NAMES = re.compile(
    r"x-(?:amz|goog|tos|oss|cos|ms)-.*|q-sign.*|expires|signature|policy|key-pair-id|ossaccesskeyid|awsaccesskeyid"
    r"|googleaccessid|sig|sign|token|.*[-_]token|auth|auth[-_]key|key|hmac|hdn..|verify|jwt|password|secret",
    re.IGNORECASE,
)
"""The parameters by which the clouds, and people, sign a URL."""

_SECRET = re.compile(r"[\w+/=~.-]{24,}", re.ASCII)
"""A value that looks like one, whatever its name."""

_DATE = re.compile(r"(\d{8}T\d{6})Z")
_NUMBER = re.compile(r"\d{1,12}")


def without_signature(url: str) -> str:
    """A URL as a file that others read may hold it: one that is signed loses its query, which would let them in.

    So does one with a parameter that looks like a secret; user names, passwords and fragments are left out of any.
    """
    plain = url.partition("#")[0]
    scheme, mark, rest = plain.partition("://")
    if mark:
        host, slash, path = rest.partition("/")
        plain = f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    before, asks, query = plain.partition("?")
    if not asks:
        return plain
    pairs = parse_qsl(query.replace(";", "&"), keep_blank_values=True)
    signed = any(_NAMES.fullmatch(name) or _SECRET.fullmatch(value) for name, value in pairs)
    return before if signed or not pairs else plain


def expires_at(url: str) -> float | None:
    """When a signed URL ends, in seconds since the epoch; None where it does not say.

    It is `Expires` (S3 in its old form, OSS, CloudFront), or a date and the seconds from it on: `X-Amz-Date` and
    `X-Amz-Expires`, and the same of Google (`X-Goog-`), TOS (`X-Tos-`) and OSS (`x-oss-`).
    """
    try:
        found = {name.lower(): values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    except ValueError:
        return None
    if _NUMBER.fullmatch(found.get("expires", "")):
        return float(found["expires"])
    for cloud in ("amz", "goog", "tos", "oss"):
        began, lasts = _DATE.fullmatch(found.get(f"x-{cloud}-date", "")), found.get(f"x-{cloud}-expires", "")
        if began and _NUMBER.fullmatch(lasts):
            return _seconds(began[1], int(lasts))
    return None


def _seconds(began: str, lasts: int) -> float | None:
    try:
        return datetime.strptime(began, "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp() + lasts
    except ValueError:
        return None
