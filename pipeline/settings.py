"""What the environment says: the key, the base URL, and where requests go for a job's `endpoint`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from pipeline.errors import KeyRefused, UsageError

KEY_VARIABLES = ("AIML_API_KEY", "AIMLAPI_KEY", "AIMLAPI_API_KEY")
BASE_VARIABLE = "AIML_API_BASE"
SANDBOX = "sandbox"
AIMLAPI = "https://api.aimlapi.com"


class Key:
    """An API key that can't be printed by accident: only `reveal` gives it.

    Raises:
        KeyRefused: It holds something that no HTTP header may hold.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str, name: str = "the key") -> None:
        text = text.strip()
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise KeyRefused(
                f"{name} is empty or holds spaces, line breaks or non-ASCII characters; copy the key again"
            )
        self._text = text

    def reveal(self) -> str:
        """The key itself, for the Authorization header."""
        return self._text

    def __repr__(self) -> str:
        return "Key(***)"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go.

    Attributes:
        base: Scheme, host and port, without `/v1` and without a trailing slash; empty for the sandbox until it runs.
        key: The key to send, or None.
        sandbox: Whether it is the project's own sandbox, started for this run.
        needs_key: Whether nothing can be asked without a key.
    """

    base: str
    key: Key | None = field(default=None, repr=False)
    sandbox: bool = False
    needs_key: bool = False

    @property
    def private(self) -> bool:
        """Whether the endpoint's host is this machine or an address that the internet can't reach.

        Only then may the pictures that it names lie at such an address.
        """
        host = urlsplit(self.base).hostname or ""
        try:
            return not ip_address(host).is_global
        except ValueError:
            # A name without a dot, or under a suffix that no public name has (RFC 6761, RFC 6762, RFC 8375, ICANN).
            return bool(host) and (
                "." not in host or host.endswith((".localhost", ".local", ".lan", ".internal", ".home.arpa"))
            )

    @property
    def base_or_sandbox(self) -> str:
        """Where requests go, as the ledger has it: the sandbox of a run is the same one whatever its port."""
        return SANDBOX if self.sandbox else self.base

    def require_key(self) -> None:
        """Make sure that there is a key where one is needed.

        Raises:
            KeyRefused: There is none; the message names both ways out.
        """
        if self.needs_key and self.key is None:
            raise KeyRefused(
                f"no API key: set {KEY_VARIABLES[0]} to your AI/ML API key, "
                "or make placeholders at no cost with --endpoint sandbox"
            )


def base_url(text: str, name: str) -> str:
    """A base URL as people write it, with or without `/v1` and trailing slashes, made canonical.

    Raises:
        UsageError: It is no http or https URL, or carries credentials, a query or a fragment.
    """
    text = text.strip()
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    # Not repeated in any message: what stands in the wrong place may well be a key or a password.
    if not host or parts.scheme not in ("http", "https") or not text.isprintable() or " " in text:
        raise UsageError(f"{name} must be an http:// or https:// URL such as {AIMLAPI}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            f"{name} must not hold a user name, a query or a fragment; the key goes into {KEY_VARIABLES[0]}"
        )
    host = f"[{host}]" if ":" in host else host
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{host}{f':{port}' if port is not None else ''}{path}"


def find_key(environ: Mapping[str, str]) -> Key | None:
    """The key from the first of `KEY_VARIABLES` that is set and not empty, or None."""
    for name in KEY_VARIABLES:
        if environ.get(name, "").strip():
            return Key(environ[name], name)
    return None


def resolve(endpoint: str, environ: Mapping[str, str]) -> Endpoint:
    """Where a job's `endpoint` sends its requests: `aimlapi`, `sandbox`, or a base URL.

    Raises:
        KeyRefused: The key holds what no HTTP header may hold.
        UsageError: The base URL is none.
    """
    if endpoint == SANDBOX:
        return Endpoint(base="", key=Key("pipeline-sandbox"), sandbox=True)
    key = find_key(environ)
    if endpoint == "aimlapi":
        return Endpoint(base_url(environ.get(BASE_VARIABLE, "").strip() or AIMLAPI, BASE_VARIABLE), key, needs_key=True)
    return Endpoint(base_url(endpoint, "endpoint"), key)
