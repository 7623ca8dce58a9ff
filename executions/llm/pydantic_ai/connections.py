"""Provider objects of pydantic-ai, with HTTP clients whose responses the transcript reads."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import httpx2
from pydantic_ai.providers import Provider, infer_provider, infer_provider_class

from executions.llm.usage.transcript import reading_client

_SECONDS = httpx2.Timeout(1200.0, connect=5.0)  # default request timeout
_CONNECTIONS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)  # the libraries' defaults


def make_provider(name: str) -> Provider[Any]:
    """Return a provider object, with a client that the transcript reads, if the provider accepts a client."""
    if not name.startswith("gateway/"):
        kind: Callable[..., Provider[Any]] = infer_provider_class(name)
        if "http_client" in inspect.signature(kind).parameters:
            http = reading_client(httpx2.AsyncClient, timeout=_SECONDS, limits=_CONNECTIONS)
            return _with_owned_client(kind, http)(http_client=http)
    return infer_provider(name)


def _with_owned_client(kind: Any, http: httpx2.AsyncClient) -> Callable[..., Provider[Any]]:
    """Return a provider class that closes the given client together with itself."""

    async def close(self: Provider[Any], *exception_info: Any) -> None:
        await kind.__aexit__(self, *exception_info)
        await http.aclose()

    return type(kind.__name__, (kind,), {"__aexit__": close})
