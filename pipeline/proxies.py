"""Which proxy a request goes through: by the environment, as curl and requests read it, or by the job's `proxy:`.

Pure: the environment comes as a mapping. A proxy's user name and password are never in what can be shown of it.
"""

import ipaddress
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from pipeline.errors import UsageError

DIRECT = "none"
"""The job's word for no proxy at all, whatever the environment says."""

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and who named it.

    Attributes:
        url: Scheme, host and port, without credentials.
        source: The variable or the key that named it.
        authorization: The value of `Proxy-Authorization`, None where it wants none.
    """

    url: str
    source: str
    authorization: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.url} ({self.source})"


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies of a run: one for each scheme, and the hosts that are asked without.

    Attributes:
        http: For http URLs, or None.
        https: For https URLs, or None.
        bypass: The entries of NO_PROXY.
    """

    http: Proxy | None = None
    https: Proxy | None = None
    bypass: tuple[str, ...] = ()

    def of(self, scheme: str, host: str, port: int | None) -> Proxy | None:
        """The proxy for a URL; None where it is asked for directly, as this machine itself always is."""
        proxy = self.https if scheme == "https" else self.http
        if proxy is None or is_loopback(host) or bypasses(self.bypass, host, port or PORTS.get(scheme)):
            return None
        return proxy


def by_environment(environ: Mapping[str, str], given: str | None = None) -> Proxies:
    """The proxies that the environment names; a job's own `proxy:` (`given`) takes their place.

    `HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY` name them, `NO_PROXY` the hosts that need none; the lower case names
    come first, as in curl. `HTTP_PROXY` in upper case is not read inside a CGI script, where a header could set it
    (CVE-2016-5385).

    Raises:
        UsageError: One of them can't be used; the message does not repeat it, for it may hold a password.
    """
    bypass = tuple((_value(environ, "no_proxy") or ("", ""))[0].replace(",", " ").split())
    if given == DIRECT:
        return Proxies()
    if given is not None:
        proxy = parsed(given, "proxy:")
        return Proxies(proxy, proxy, bypass)
    every = _value(environ, "all_proxy")
    plain = _value(environ, "http_proxy", cgi="REQUEST_METHOD" in environ) or every
    secure = _value(environ, "https_proxy") or every
    return Proxies(parsed(*plain) if plain else None, parsed(*secure) if secure else None, bypass)


def _value(environ: Mapping[str, str], name: str, *, cgi: bool = False) -> tuple[str, str] | None:
    """The value of a variable, in lower or upper case, and the name under which it was found."""
    for spelling in (name,) if cgi else (name, name.upper()):
        # Set and empty: no proxy, whatever the other spelling says.
        if spelling in environ:
            return (environ[spelling].strip(), spelling) if environ[spelling].strip() else None
    return None


def parsed(text: str, source: str) -> Proxy:
    """A proxy as people write it: a URL, or a host with its port.

    Raises:
        UsageError: It is not a proxy that this program can use.
    """
    parts = _parts(text if "://" in text else f"http://{text}")
    if parts is None:
        raise UsageError(f"{source} is not the URL of a proxy; write it as http://HOST:PORT")
    if parts.scheme not in PORTS:
        raise UsageError(
            f"{source} names a proxy of the kind {parts.scheme}, which is not supported: name an HTTP proxy "
            f"(http://HOST:PORT), or set `proxy: {DIRECT}` in the job to ask without one"
        )
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {b64encode(pair.encode()).decode()}"
    # 1080 is what curl takes; an HTTP proxy without a port is far more often at its scheme's own one.
    return Proxy(f"{parts.scheme}://{host}:{parts.port or PORTS[parts.scheme]}", source, authorization)


def _parts(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text.strip())
        sound = bool(parts.hostname) and parts.port != 0 and text.isprintable() and " " not in text.strip()
    except ValueError:
        return None
    return parts if sound and not parts.query and not parts.fragment else None


def is_loopback(host: str) -> bool:
    """Whether a host, as a URL has it, is this machine."""
    host = host.rstrip(".").lower()
    try:
        ip = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


def bypasses(entries: tuple[str, ...], host: str, port: int | None) -> bool:
    """Whether a list of NO_PROXY names a host.

    An entry is `*`, a host or the end of one (with or without a leading `.` or `*.`), an address, or a network in CIDR
    form; `:PORT` after it means this port alone.
    """
    host = host.rstrip(".").strip("[]").lower()
    return any(_names(entry.lower(), host, port) for entry in entries)


def _names(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    try:
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    else:
        try:
            return ipaddress.ip_address(host) in network
        except ValueError:
            return False
    name, colon, its_port = entry.rpartition(":")
    if colon and its_port.isdigit() and ("]" in name or ":" not in name):
        return int(its_port) == port and _names(name, host, port)
    suffix = entry.removeprefix("*").strip("[]").strip(".")
    return bool(suffix) and (host == suffix or host.endswith(f".{suffix}"))
