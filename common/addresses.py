"""Addresses: the client's network behind any number of trusted proxies, and which addresses are protected."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN = "unknown"
_IPV6_PREFIX = 64  # bits: providers assign at least a /64 to a customer, who can change the rest of the address at will


def client_network(peer: str, forwarded_for: str, *, trusted: Collection[Network]) -> str:
    """Return the network of the client: its IPv4 address, or the /64 of its IPv6 address.

    Args:
        peer: Address of the other end of the connection; empty for a Unix socket.
        forwarded_for: The `X-Forwarded-For` header. It is read from the right, up to the first untrusted address.
        trusted: Networks of the trusted proxies. If there are any, a Unix socket is trusted too.
    """
    client = _parse(peer)
    if not (_is_trusted(client, trusted) if peer else trusted):
        return _network_of(client)
    for text in reversed(forwarded_for.split(",")):
        address = _parse(text)
        if address is None:
            break  # the proxy recorded no address, so the client may have forged every entry to the left
        client = address
        if not _is_trusted(client, trusted):
            break
    return _network_of(client)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is one of this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_protected(url: str) -> bool:
    """Return whether a URL is one of HTTPS, or one of this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


def _parse(text: str) -> Address | None:
    """Parse an address with or without a port; None if the text is not one. IPv4-mapped IPv6 becomes IPv4."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_trusted(address: Address | None, trusted: Collection[Network]) -> bool:
    return address is not None and any(address in network for network in trusted)


def _network_of(address: Address | None) -> str:
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((int(address), _IPV6_PREFIX), strict=False))
