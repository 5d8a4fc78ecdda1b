"""What the environment says: the key, the base URL, and where requests go for a job's `endpoint`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.errors import KeyRefused, UsageError
from pipeline.proxies import Proxies, by_environment, is_loopback
from pipeline.version import __version__

KEY_VARIABLES = ("AIML_API_KEY", "AIMLAPI_KEY", "AIMLAPI_API_KEY")
BASE_VARIABLE = "AIML_API_BASE"
SANDBOX = "sandbox"
AIMLAPI = "https://api.aimlapi.com"
USER_AGENT = f"image-pipeline/{__version__}"


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
class Network:
    """How requests leave this machine.

    Attributes:
        user_agent: The name that servers see.
        proxies: The proxies they go through.
        cert_file: A file of certificates to trust instead of the system's, None for the system's.
        cert_dir: A folder of such certificates.
    """

    user_agent: str = USER_AGENT
    proxies: Proxies = field(default_factory=Proxies)
    cert_file: str | None = None
    cert_dir: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go.

    Attributes:
        base: Scheme, host and port, without `/v1` and without a trailing slash; empty for the sandbox until it runs.
        key: The key to send, or None.
        sandbox: Whether it is the project's own sandbox, started for this run.
        needs_key: Whether nothing can be asked without a key.
        setting: What named the base: `AIML_API_BASE` or `endpoint:`; empty where it is the vendor's own.
        network: How requests get there.
    """

    base: str
    key: Key | None = field(default=None, repr=False)
    sandbox: bool = False
    needs_key: bool = False
    setting: str = ""
    network: Network = field(default_factory=Network)

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

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the way there, a line each; empty where all is as usual."""
        proxies = self.network.proxies
        if not self.base or is_loopback(urlsplit(self.base).hostname or ""):
            return ()
        used = dict.fromkeys(str(proxy) for proxy in (proxies.https, proxies.http) if proxy is not None)
        return (f"requests go through the proxy {' and '.join(used)}; it looks the names up",) if used else ()

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
        given = environ.get(BASE_VARIABLE, "").strip()
        base = base_url(given or AIMLAPI, BASE_VARIABLE)
        return Endpoint(base, key, needs_key=True, setting=BASE_VARIABLE if given else "")
    return Endpoint(base_url(endpoint, "endpoint"), key, setting="endpoint:")


def network(environ: Mapping[str, str], proxy: str | None = None, user_agent: str | None = None) -> Network:
    """How requests leave this machine, by the environment and by what a job says of it (`proxy:`, `user_agent:`).

    Raises:
        UsageError: A proxy can't be used, or what SSL_CERT_FILE or SSL_CERT_DIR names is not there.
    """
    file, folder = environ.get("SSL_CERT_FILE") or None, environ.get("SSL_CERT_DIR") or None
    if file is not None and not Path(file).is_file():
        raise UsageError(f"SSL_CERT_FILE is {file}, and there is no such file: correct it, or unset it")
    if folder is not None and not any(Path(part).is_dir() for part in folder.split(os.pathsep)):
        raise UsageError(f"SSL_CERT_DIR is {folder}, and there is no such folder: correct it, or unset it")
    return Network(user_agent or USER_AGENT, by_environment(environ, proxy), file, folder)
