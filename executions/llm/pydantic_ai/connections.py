"""Providers of the library's, over connections whose answers are read here as well."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import httpx2
from pydantic_ai.providers import Provider, infer_provider, infer_provider_class

from executions.llm.usage.transcript import reading_client

_SECONDS = httpx2.Timeout(1200.0, connect=5.0)  # of a request, unless it says less
_CONNECTIONS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)  # as the libraries have them


def make_provider(name: str) -> Provider[Any]:
    """Return a provider of the library's, with a client whose answers are read here where it takes one."""
    if not name.startswith("gateway/"):
        kind: Callable[..., Provider[Any]] = infer_provider_class(name)
        if "http_client" in inspect.signature(kind).parameters:
            http = reading_client(httpx2.AsyncClient, timeout=_SECONDS, limits=_CONNECTIONS)
            return _owning(kind, http)(http_client=http)
    return infer_provider(name)


def _owning(kind: Any, http: httpx2.AsyncClient) -> Callable[..., Provider[Any]]:
    """Return a kind of provider that closes its client with itself, as it does with one that it makes."""

    async def leave(self: Provider[Any], *raised: Any) -> None:
        await kind.__aexit__(self, *raised)
        await http.aclose()

    return type(kind.__name__, (kind,), {"__aexit__": leave})
