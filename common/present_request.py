"""The request that this process is serving in the present context, and the network that it comes from.

It imports no models: servers use it early.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

from common.addresses import Network

Address = IPv4Address | IPv6Address

UNKNOWN = "unknown"
_IPV6_PREFIX = 64  # bits: providers assign at least a /64 to a customer, who can change the rest of the address at will

_request: ContextVar[HttpRequest | None] = ContextVar("present request", default=None)


@contextmanager
def serving(request: HttpRequest) -> Iterator[None]:
    """Name the request as the origin of all acts within the block."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


def present_request() -> HttpRequest | None:
    """Return the request that is being served; None in a command or a worker."""
    return _request.get()


def network_of(request: HttpRequest) -> str:
    """Return the client's network, as reported by the trusted proxies."""
    peer, forwarded = request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", "")
    return client_network(peer, forwarded, trusted=settings.TRUSTED_PROXIES)


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
