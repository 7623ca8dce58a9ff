"""What this process knows of its database server: its clock, and whether it is still the same server.

**The clock.** All processes go by the clock of the database, whatever their own machines say. Each process reads it now
and then, and adds what has passed since on a clock that cannot be set. An answer takes some time, so it gives two
bounds for the server's clock. The process corrects its own reckoning only if that is outside of them (Cristian,
"Probabilistic clock synchronization", Distributed Computing 1989).

**The server.** After a failover, or a crash without fsync, the database may have lost what it had confirmed. Then
nothing that this process remembers of it may be believed. Each server process has its own start: another start means
another server, or one that was started again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

LOOK = """
SELECT extract(epoch FROM clock_timestamp())::float8, extract(epoch FROM pg_postmaster_start_time())::float8
"""
LOOK_SECONDS = 10.0  # between two looks, over connections that are taken out of a pool
TOLERANCE = timedelta(seconds=1)  # of this machine's clock; what is more is told

logger = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Seconds of a clock that cannot be set; where there is one, of one that goes on while the machine sleeps.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _ticks() -> float:
    return time.clock_gettime(_CLOCK)


class Server:
    """What was seen of the server. Any thread may look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset: float | None = None  # of the server's clock against `_ticks`, in seconds
        self._looked_at = 0.0
        self._took = timedelta()  # the last look
        self._started_at: float | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._is_told = False  # that this machine's clock is wrong
        self.changes = 0  # how often another server was found than the one before

    def now(self) -> datetime:
        """Return the present moment by the server's clock; before the first look by this machine's."""
        if self._offset is None:
            return datetime.now(UTC)
        return _EPOCH + timedelta(seconds=self._offset + _ticks())

    def is_due(self) -> bool:
        """Return whether it is time for another look."""
        return self._offset is None or _ticks() - self._looked_at > LOOK_SECONDS

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have a function called, in any thread, when another server is found than the one before.

        It forgets what was remembered of the database.
        """
        self._callbacks.append(callback)

    def forget(self) -> None:
        """Have everything forgotten that this process remembers of the database."""
        for callback in self._callbacks:
            callback()

    def see(self, seconds: float, started_at: float, *, asked_at: float) -> None:
        """Take in what the server has answered to `LOOK`.

        Args:
            seconds: Its clock, in seconds since 1970.
            started_at: When it was started, in seconds since 1970.
            asked_at: When it was asked, in seconds of `_ticks`.
        """
        answered_at = _ticks()
        with self._lock:
            is_other = self._started_at is not None and self._started_at != started_at
            lowest, highest = seconds - answered_at, seconds - asked_at
            before = lowest if self._offset is None or is_other else self._offset
            self._offset = min(max(before, lowest), highest)
            self._looked_at, self._started_at = answered_at, started_at
            self._took = timedelta(seconds=answered_at - asked_at)
            self.changes += is_other
        if is_other:
            logger.warning("the database is another server than before, or was started again: nothing is remembered")
            self.forget()
        self._compare()

    def machine_ahead(self) -> timedelta:
        """Return how far this machine's clock is ahead of the server's; zero when a look cannot tell, or little."""
        ahead = datetime.now(UTC) - self.now()
        return ahead if abs(ahead) > TOLERANCE + self._took else timedelta()

    def _compare(self) -> None:
        """Tell once when the clock of this machine is wrong."""
        ahead = self.machine_ahead()
        if ahead and not self._is_told:
            logger.warning("this machine's clock is %s the database's, which is the one that counts", distance(ahead))
        self._is_told = bool(ahead)


def distance(ahead: timedelta) -> str:
    """Return in words how far one clock is ahead of another."""
    return f"{abs(ahead.total_seconds()):.1f} seconds {'ahead of' if ahead > timedelta() else 'behind'}"


server = Server()


def database_now() -> datetime:
    """Return the present moment by the clock of the database."""
    return server.now()


def look(connection: psycopg.Connection[Any]) -> None:
    """Look at the server over a connection that commits by itself.

    Raises:
        psycopg.Error: the connection is lost.
    """
    asked_at = _ticks()
    row = connection.execute(LOOK).fetchone()
    if row is not None:
        server.see(row[0], row[1], asked_at=asked_at)


async def look_async(connection: psycopg.AsyncConnection[Any]) -> None:
    """Look at the server over a connection that commits by itself.

    Raises:
        psycopg.Error: the connection is lost.
    """
    asked_at = _ticks()
    row = await (await connection.execute(LOOK)).fetchone()
    if row is not None:
        server.see(row[0], row[1], asked_at=asked_at)
