"""Which IP addresses may be asked for a picture: those of the public internet, and never a cloud's metadata service."""

import ipaddress
import socket


def is_metadata(address: str) -> bool:
    """Whether a cloud's metadata service is at an IP address; also where it can't be told."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    return (getattr(ip, "ipv4_mapped", None) or ip) in _METADATA


_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        *("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "fe80::a9fe:a9fe"),  # most clouds
        *("169.254.170.2", "169.254.170.23", "fd00:ec2::23"),  # containers on AWS
        *("100.100.100.200", "168.63.129.16", "192.0.0.192"),  # Alibaba, Azure, Oracle
    )
)


_UNICAST = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(net)
    for net in (
        "168.63.129.16/32",  # Azure's metadata service, on an address that looks public
        "192.88.99.0/24",  # 6to4 relays
        "2001::/23",  # protocol assignments, with Teredo, which embeds IPv4
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, embeds IPv4
        "3fff::/20",  # documentation
    )
)


def is_public(address: str) -> bool:
    """Whether an IP address is one on the public internet.

    Stricter than `ipaddress.is_global`, which lets multicast, site-local and several embeddings of IPv4 addresses
    pass on some Python versions. Of IPv6, only global unicast (2000::/3) counts.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip not in _UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not any(ip in net for net in _NOT_PUBLIC)


_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_PRIVATE_SUFFIXES = (".localhost", ".local", ".lan", ".internal", ".home.arpa")


def written_in(host: str) -> str | None:
    """The IP address that a host, as a URL has it, is written as; None where it is a name to be looked up.

    Also the old spellings that name look-ups still take, such as `127.1`, `2130706433` and `0x7f000001`.
    """
    host = host.strip("[]").rstrip(".")
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    # `inet_aton` also takes what follows a space, which no host has.
    if not host or not host[0].isdigit() or not host.isascii() or " " in host:
        return None
    try:
        return str(ipaddress.IPv4Address(socket.inet_aton(host)))
    except OSError:
        return None


def is_inside(host: str) -> bool:
    """Whether a name leads to this machine or this network wherever it is looked up, by the name alone."""
    host = host.rstrip(".").lower()
    return "." not in host or host.endswith(_PRIVATE_SUFFIXES) or names_metadata(host)


def names_metadata(host: str) -> bool:
    """Whether a name is one of a cloud's metadata service."""
    host = host.rstrip(".").lower()
    return host in _METADATA_NAMES or host.endswith((".metadata.google.internal", ".metadata.azure.internal"))
