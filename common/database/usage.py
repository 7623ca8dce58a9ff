"""Purpose of database use: a read-only request, a request that writes, or background work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_thread = threading.local()
_reading: ContextVar[bool] = ContextVar("reading", default=False)


def mark_background_thread() -> None:
    """Let the current thread use the background pool, which requests cannot exhaust."""
    _thread.is_background = True


def is_background_thread() -> bool:
    """Return whether the current thread uses the background pool."""
    return getattr(_thread, "is_background", False)


@contextmanager
def read_only_request() -> Iterator[None]:
    """Apply the statement timeout of reads to connections that are acquired within the block."""
    token = _reading.set(True)
    try:
        yield
    finally:
        _reading.reset(token)


def is_reading() -> bool:
    """Return whether a connection that is acquired now serves a read-only request."""
    return _reading.get() and not is_background_thread()
