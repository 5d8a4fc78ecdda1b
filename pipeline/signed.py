"""Signed URLs: until when they work, and how they may be shown to those who must not use them."""

import re
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

_SIGNATURE = re.compile(
    r"(?:^|[&;])(?:x-(?:amz|goog|tos|oss|cos|ms)-[a-z-]*|expires|signature|policy|key-pair-id|ossaccesskeyid"
    r"|awsaccesskeyid|googleaccessid|sig|sign|token|access_token|auth|auth_key|key|hmac)=",
    re.IGNORECASE,
)
"""The parameters by which the clouds, and people, sign a URL."""

_DATE = re.compile(r"(\d{8}T\d{6})Z")
_NUMBER = re.compile(r"\d{1,12}")


def without_signature(url: str) -> str:
    """A URL as a file that others read may hold it: one that is signed loses its query, which would let them in."""
    rest, mark, query = url.partition("?")
    return rest if mark and _SIGNATURE.search(query) else url


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
