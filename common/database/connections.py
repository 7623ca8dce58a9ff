"""psycopg's connections, with a limit on how long they wait for an answer.

TCP tells of a host that has vanished. It does not tell of a proxy or a server that keeps connections open and never
answers, so every wait has a limit. A connection whose answer is late is closed, and its caller hears of an outage.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import psycopg
from django.conf import settings
from psycopg.abc import PQGen
from psycopg.errors import ReadOnlySqlTransaction
from psycopg.pq.abc import PGconn

Result = TypeVar("Result")
Row = TypeVar("Row")

_unlimited: ContextVar[bool] = ContextVar("unlimited", default=False)
_on_silence: list[Callable[[float], None]] = []
_INTERVAL_SECONDS = 0.1  # between two looks whether the process is interrupted: psycopg's default


class NoAnswer(psycopg.OperationalError):
    """The server has not answered in time; the connection is closed."""


@contextmanager
def waiting_for_ever() -> Iterator[None]:
    """Have no limit meanwhile: for statements that may take hours, such as those of migrations."""
    token = _unlimited.set(True)
    try:
        yield
    finally:
        _unlimited.reset(token)


def wait_seconds() -> float | None:
    """Return for how long an answer is waited for, in seconds; None: without limit."""
    return None if _unlimited.get() else settings.DATABASE_WAIT_SECONDS


def on_silence(callback: Callable[[float], None]) -> None:
    """Have a function called, in any thread, when an answer is late, with the moment since when it was waited for.

    The moment is one of the monotonic clock. Connections that are older are likely to be as silent.
    """
    _on_silence.append(callback)


def tell_silence(since: float) -> None:
    """Say that an answer is late which was waited for since a moment of the monotonic clock."""
    for callback in _on_silence:
        callback(since)


def no_answer(since: float, seconds: float | None) -> NoAnswer:
    """Say that nothing has come for so many seconds since a moment of the monotonic clock; return the error of it."""
    tell_silence(since)
    return NoAnswer(f"The database has not answered within {seconds:g} seconds.")


class Connection(psycopg.Connection[Row]):
    """A connection that does not wait for ever, and closes when its server takes no writes.

    After a switch-over, the next connection may lead to the server that does.
    """

    def wait(self, gen: PQGen[Result], interval: float = _INTERVAL_SECONDS, timeout: float | None = None) -> Result:
        """Wait for the end of an operation.

        Raises:
            NoAnswer: it has not ended within the limit.
        """
        with _limited(self.pgconn, timeout) as seconds:
            return super().wait(gen, interval, seconds)


class AsyncConnection(psycopg.AsyncConnection[Row]):
    """The same for asyncio."""

    async def wait(
        self, gen: PQGen[Result], interval: float = _INTERVAL_SECONDS, timeout: float | None = None
    ) -> Result:
        """Wait for the end of an operation.

        Raises:
            NoAnswer: it has not ended within the limit.
        """
        with _limited(self.pgconn, timeout) as seconds:
            return await super().wait(gen, interval, seconds)


@contextmanager
def _limited(pgconn: PGconn, timeout: float | None) -> Iterator[float | None]:
    """Yield for how long to wait: so long as is asked for, or the limit. Close what did not answer within the limit."""
    seconds = wait_seconds() if timeout is None else timeout
    began = time.monotonic()
    try:
        yield seconds
    except ReadOnlySqlTransaction:
        pgconn.finish()
        raise
    except psycopg.errors._WaitTimeout as error:  # noqa: SLF001 - the only name that it has
        if timeout is not None:
            raise
        pgconn.finish()
        raise no_answer(began, seconds) from error
