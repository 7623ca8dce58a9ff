"""The database server as this process knows it: its clock, and its identity.

**The clock.** All processes use the clock of the database, whatever the clocks of their machines say. Each process
reads it periodically, and adds the time since then on a clock that cannot be set. A response takes some time, so it
gives two bounds for the server's clock. The process corrects its estimate only if that is out of bounds (Cristian,
"Probabilistic clock synchronization", Distributed Computing 1989).

**The server.** After a failover, or a crash without fsync, the database may have lost committed data. Then all caches
of this process are invalid. The start time identifies a server: another start time means another server, or a
restarted one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

PROBE = """
SELECT extract(epoch FROM clock_timestamp())::float8, extract(epoch FROM pg_postmaster_start_time())::float8
"""
PROBE_INTERVAL_SECONDS = 10.0  # min interval of probes over pooled connections
TOLERANCE = timedelta(seconds=1)  # of this machine's clock; a larger difference is logged

logger = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: A clock that cannot be set; if the system has one, a clock that also runs while the machine sleeps.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _ticks() -> float:
    return time.clock_gettime(_CLOCK)


class Server:
    """State of the server as of the last probe. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset: float | None = None  # difference of the server's clock and `_ticks`, in seconds
        self._probed_at = 0.0
        self._probe_duration = timedelta()
        self._started_at: float | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._is_logged = False  # that this machine's clock is wrong
        self.changes = 0  # number of changes to another server

    def now(self) -> datetime:
        """Return the current time of the server's clock; previous the first probe, that of this machine."""
        if self._offset is None:
            return datetime.now(UTC)
        return _EPOCH + timedelta(seconds=self._offset + _ticks())

    def is_due(self) -> bool:
        """Return whether the next probe is due."""
        return self._offset is None or _ticks() - self._probed_at > PROBE_INTERVAL_SECONDS

    def on_change(self, callback: Callable[[], None]) -> None:
        """Register a callback that clears a cache. It is called in any thread after a change to another server."""
        self._callbacks.append(callback)

    def clear_caches(self) -> None:
        """Clear all caches of database contents in this process."""
        for callback in self._callbacks:
            callback()

    def record_probe(self, seconds: float, started_at: float, *, asked_at: float) -> None:
        """Store the server's response to `PROBE`.

        Args:
            seconds: The server's clock, in seconds since 1970.
            started_at: Start time of the server, in seconds since 1970.
            asked_at: When the probe was sent, in seconds of `_ticks`.
        """
        answered_at = _ticks()
        with self._lock:
            is_other = self._started_at is not None and self._started_at != started_at
            lowest, highest = seconds - answered_at, seconds - asked_at
            previous = lowest if self._offset is None or is_other else self._offset
            self._offset = min(max(previous, lowest), highest)
            self._probed_at, self._started_at = answered_at, started_at
            self._probe_duration = timedelta(seconds=answered_at - asked_at)
            self.changes += is_other
        if is_other:
            logger.warning("the database server changed or was restarted: all caches are cleared")
            self.clear_caches()
        self._compare()

    def local_clock_lead(self) -> timedelta:
        """Return how far this machine's clock is ahead of the server's; zero if it is within the tolerance."""
        ahead = datetime.now(UTC) - self.now()
        return ahead if abs(ahead) > TOLERANCE + self._probe_duration else timedelta()

    def _compare(self) -> None:
        """Log once if the clock of this machine is wrong."""
        ahead = self.local_clock_lead()
        if ahead and not self._is_logged:
            logger.warning(
                "this machine's clock is %s the database's, which all processes use", clock_difference(ahead)
            )
        self._is_logged = bool(ahead)


def clock_difference(ahead: timedelta) -> str:
    """Describe how far one clock is ahead of another."""
    return f"{abs(ahead.total_seconds()):.1f} seconds {'ahead of' if ahead > timedelta() else 'behind'}"


server = Server()


def database_now() -> datetime:
    """Return the current time of the database's clock."""
    return server.now()


def probe(connection: psycopg.Connection[Any]) -> None:
    """Probe the server over an autocommit connection.

    Raises:
        psycopg.Error: the connection is lost.
    """
    asked_at = _ticks()
    row = connection.execute(PROBE).fetchone()
    if row is not None:
        server.record_probe(row[0], row[1], asked_at=asked_at)


async def probe_async(connection: psycopg.AsyncConnection[Any]) -> None:
    """Probe the server over an autocommit connection.

    Raises:
        psycopg.Error: the connection is lost.
    """
    asked_at = _ticks()
    row = await (await connection.execute(PROBE)).fetchone()
    if row is not None:
        server.record_probe(row[0], row[1], asked_at=asked_at)
