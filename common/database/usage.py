"""What a thread uses the database for: a request that reads, one that writes, or work that no request waits for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_thread = threading.local()
_reading: ContextVar[bool] = ContextVar("reading", default=False)


def mark_background_thread() -> None:
    """Have the present thread take its connections from the pool that requests cannot use up."""
    _thread.is_background = True


def is_background_thread() -> bool:
    """Return whether the present thread takes its connections from that pool."""
    return getattr(_thread, "is_background", False)


@contextmanager
def reading() -> Iterator[None]:
    """Give each statement of connections that are taken meanwhile the time limit of reads."""
    token = _reading.set(True)
    try:
        yield
    finally:
        _reading.reset(token)


def is_reading() -> bool:
    """Return whether a connection that is taken now serves a request that only reads."""
    return _reading.get() and not is_background_thread()
