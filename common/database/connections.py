"""psycopg connections with a time limit for each response.

TCP detects a host that has vanished. It does not detect a proxy or a server that keeps connections open and never
responds, so every wait has a limit. A connection that exceeds the limit is closed, and its caller gets an outage error.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

import psycopg
from django.conf import settings
from django.db import connection
from psycopg.abc import PQGen
from psycopg.errors import ReadOnlySqlTransaction
from psycopg.pq.abc import PGconn

Given = ParamSpec("Given")
Result = TypeVar("Result")
Row = TypeVar("Row")

_unlimited: ContextVar[bool] = ContextVar("unlimited", default=False)
_on_silence: list[Callable[[float], None]] = []
_INTERVAL_SECONDS = 0.1  # between checks for a signal: psycopg's default


class NoAnswer(psycopg.OperationalError):
    """The server did not respond in time; the connection is closed."""


@contextmanager
def without_time_limit() -> Iterator[None]:
    """Disable the limit within the block, for statements that may take hours, such as migrations."""
    token = _unlimited.set(True)
    try:
        yield
    finally:
        _unlimited.reset(token)


def wait_seconds() -> float | None:
    """Return the time limit for a response, in seconds; None: no limit."""
    return None if _unlimited.get() else settings.DATABASE_WAIT_SECONDS


def on_silence(callback: Callable[[float], None]) -> None:
    """Register a callback for late responses. It is called in any thread, with the start of the wait.

    The start is a time of the monotonic clock. Connections that are older are probably dead too.
    """
    _on_silence.append(callback)


def report_silence(since: float) -> None:
    """Call the callbacks: no response has come since a time of the monotonic clock."""
    for callback in _on_silence:
        callback(since)


def silence_error(since: float, seconds: float | None) -> NoAnswer:
    """Report a late response, and return its error. `since` is a time of the monotonic clock."""
    report_silence(since)
    return NoAnswer(f"The database did not respond within {seconds:g} seconds.")


class Connection(psycopg.Connection[Row]):
    """A connection with a limit for responses. It closes when its server turns read-only.

    After a switch-over, the next connection may lead to the new primary.
    """

    def wait(self, gen: PQGen[Result], interval: float = _INTERVAL_SECONDS, timeout: float | None = None) -> Result:
        """Wait for the end of an operation.

        Raises:
            NoAnswer: the operation exceeded the limit.
        """
        with _limited(self.pgconn, timeout) as seconds:
            return super().wait(gen, interval, seconds)


class AsyncConnection(psycopg.AsyncConnection[Row]):
    """`Connection` for asyncio."""

    async def wait(
        self, gen: PQGen[Result], interval: float = _INTERVAL_SECONDS, timeout: float | None = None
    ) -> Result:
        """Wait for the end of an operation.

        Raises:
            NoAnswer: the operation exceeded the limit.
        """
        with _limited(self.pgconn, timeout) as seconds:
            return await super().wait(gen, interval, seconds)


@contextmanager
def _limited(pgconn: PGconn, timeout: float | None) -> Iterator[float | None]:
    """Yield the caller's timeout, or else the limit. Close the connection if it exceeds the limit."""
    seconds = wait_seconds() if timeout is None else timeout
    began = time.monotonic()
    try:
        yield seconds
    except ReadOnlySqlTransaction:
        pgconn.finish()
        raise
    except psycopg.errors._WaitTimeout as error:  # noqa: SLF001 - there is no public name
        if timeout is not None:
            raise
        pgconn.finish()
        raise silence_error(began, seconds) from error


def give_back() -> None:
    """Give this thread's connection back to its pool, while it waits for something else. A transaction keeps it."""
    if not connection.in_atomic_block:
        connection.close()


_is_served: ContextVar[bool] = ContextVar("is_served", default=False)


def serve_request() -> None:
    """Tell that this task answers a request of a server. What it calls in threads gives its connection back each time.

    Without this, a request that is cancelled while a thread works for it would keep the connection for ever. Clients of
    tests have one connection for many requests.
    """
    _is_served.set(True)


def is_served() -> bool:
    """Return whether this task or thread answers a request of a server."""
    return _is_served.get()


def giving_back(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Return a function for a thread of a request, which gives its connection back at its end."""

    @wraps(function)
    def call(*arguments: Given.args, **options: Given.kwargs) -> Result:
        try:
            return function(*arguments, **options)
        finally:
            if is_served():
                give_back()

    return call


def marked_as_given_back(response: Result) -> Result:
    """Mark a response whose request has no connection any more, so that no thread is needed to close it."""
    response.has_given_back = True  # type: ignore[attr-defined]
    return response


def has_given_back(response: object) -> bool:
    """Return whether a response is so marked."""
    return getattr(response, "has_given_back", False)


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
