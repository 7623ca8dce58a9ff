"""The network to which a request is attributed."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from common.present_request import UNKNOWN, client_network

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "network"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),  # no proxy of ours says so
        ("10.0.0.5", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.5", "198.51.100.9, 198.51.100.1", "198.51.100.1"),  # what stands before it, the client has written
        ("10.0.0.5", "198.51.100.1, 10.1.1.1,10.2.2.2", "198.51.100.1"),
        ("10.0.0.5", "10.3.3.3, 10.1.1.1", "10.3.3.3"),
        ("10.0.0.5", "", "10.0.0.5"),
        ("10.0.0.5", "198.51.100.1, unknown", "10.0.0.5"),
        ("10.0.0.5", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.5", "[2001:db8:1:2:3::4]:4711", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.5", "::ffff:198.51.100.1", "198.51.100.1"),
        ("fd00::1", "2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "", "2001:db8:1:3::/64"),
        ("", "198.51.100.1", "198.51.100.1"),  # a proxy on a Unix socket
        ("", "", UNKNOWN),
        ("nonsense", "198.51.100.1", UNKNOWN),
    ],
)
def test_the_last_address_that_no_trusted_proxy_has_counts(peer: str, forwarded: str, network: str) -> None:
    assert client_network(peer, forwarded, trusted=PROXIES) == network


@pytest.mark.parametrize("peer", ["", "10.0.0.5", "203.0.113.7"])
def test_without_trusted_proxies_the_header_says_nothing(peer: str) -> None:
    assert client_network(peer, "198.51.100.1", trusted=()) == (peer or UNKNOWN)
