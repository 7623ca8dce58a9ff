"""The request that this process is serving in the present context. It imports no models: servers use it early."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.http import HttpRequest

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
