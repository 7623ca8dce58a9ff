"""From which network a request comes, behind any number of proxies."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN = "unknown"
_IPV6_PREFIX = 64  # bits: what one customer has at least; the rest of an address costs nothing to change


def client_network(peer: str, forwarded_for: str, *, trusted: Collection[Network]) -> str:
    """Return the network of the client: its IPv4 address, or the /64 of its IPv6 address.

    Args:
        peer: Address of the other end of the connection; empty for a Unix socket.
        forwarded_for: `X-Forwarded-For`. It is read from its end, as long as the address before it is a trusted proxy.
        trusted: Networks of the proxies. Unless there are none, a Unix socket is trusted too.
    """
    client = _parsed(peer)
    if not (_is_trusted(client, trusted) if peer else trusted):
        return _network_of(client)
    for text in reversed(forwarded_for.split(",")):
        address = _parsed(text)
        if address is None:
            break  # a proxy that tells no address; what stands before it, anyone may have written
        client = address
        if not _is_trusted(client, trusted):
            break
    return _network_of(client)


def _parsed(text: str) -> Address | None:
    """Return an address, with or without a port; None when it is none. IPv4 in IPv6 is IPv4."""
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
