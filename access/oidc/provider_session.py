"""Requests to the provider: over HTTPS, with limits on time and size, without redirects; and its discovery document."""

from __future__ import annotations

import json
import time
from typing import Any

import requests
import urllib3
from django.conf import settings

from access.oidc.faults import Fault, LoginFailed
from common.addresses import is_protected
from common.database.connections import give_back
from common.limits import limits
from common.ttl_cache import TtlCache

CONNECT_SECONDS = 5.0
DISCOVERY_SECONDS = 300.0  # for which a process reuses the discovery document
_PART_BYTES = 16 * 1024
_WELL_KNOWN = "/.well-known/openid-configuration"
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class ProviderSession(requests.Session):
    """A session of requests to the provider. Each answer is a JSON object, or an error of the client."""

    def request(self, method: str | bytes, url: str | bytes, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request, and read the answer up to the limits.

        Raises:
            LoginFailed: the provider cannot be reached, or does not answer with a JSON object in time.
        """
        give_back()  # no connection to the database waits for the provider
        address = url if isinstance(url, str) else url.decode()
        if not is_protected(address):
            raise LoginFailed(Fault.UNREACHABLE, f"{address} is no address of HTTPS")
        seconds = limits().oidc_seconds
        deadline = time.monotonic() + seconds
        options |= {"timeout": (CONNECT_SECONDS, seconds), "allow_redirects": False, "stream": True}
        try:
            with super().request(method, url, *arguments, **options) as response:
                content = _read(response, deadline=deadline)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise LoginFailed(Fault.UNREACHABLE, f"{address} cannot be reached: {type(error).__name__}") from error
        if response.ok:
            _check_object(response, content)
        elif not 400 <= response.status_code < 500:
            raise LoginFailed(Fault.UNREACHABLE, f"{address} answers with status {response.status_code}")
        response._content = content  # noqa: SLF001 - what reads the response later finds what was read here
        return response


def _read(response: requests.Response, *, deadline: float) -> bytes:
    """Read the body.

    Raises:
        LoginFailed: the body is too large, or takes too long.
    """
    content = bytearray()
    while part := response.raw.read1(_PART_BYTES, decode_content=True):  # what has come; it waits for no more
        content += part
        if len(content) > limits().oidc_bytes:
            raise LoginFailed(Fault.UNREACHABLE, f"the answer of {response.url} is too large")
        if time.monotonic() > deadline:
            raise LoginFailed(Fault.UNREACHABLE, f"the answer of {response.url} takes too long")
    return bytes(content)


def _check_object(response: requests.Response, content: bytes) -> None:
    """Check that the body is a JSON object, whatever its type says."""
    try:
        is_object = response.status_code == 200 and isinstance(json.loads(content), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise LoginFailed(Fault.UNREACHABLE, f"{response.url} answers with no JSON object")
    response.headers["Content-Type"] = "application/json"


def get_object(url: str, **headers: str) -> dict[str, Any]:
    """Fetch a JSON object of the provider.

    Raises:
        LoginFailed: there is no such object.
    """
    with ProviderSession() as session:
        response = session.get(url, headers=headers)
    if not response.ok:
        raise LoginFailed(Fault.UNREACHABLE, f"{url} answers with status {response.status_code}")
    found: dict[str, Any] = response.json()
    return found


def _load() -> dict[str, Any]:
    found = get_object(settings.OIDC_ISSUER.rstrip("/") + _WELL_KNOWN)
    if found.get("issuer") != settings.OIDC_ISSUER:
        raise LoginFailed(Fault.UNREACHABLE, f"the provider names another issuer: {str(found.get('issuer'))[:200]}")
    missing = [name for name in _ENDPOINTS if not isinstance(found.get(name), str) or not is_protected(found[name])]
    if missing:
        raise LoginFailed(Fault.UNREACHABLE, f"the discovery document has no address of HTTPS as {', '.join(missing)}")
    return found


#: The discovery document of the provider.
DISCOVERY: TtlCache[dict[str, Any]] = TtlCache(_load, empty={}, ttl_seconds=DISCOVERY_SECONDS)
