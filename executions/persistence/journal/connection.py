"""Connections of the journal alone: they are kept between batches, and the event loop itself waits for them.

A thread that waits for the server also has to wait for the interpreter's lock, up to 5 ms each time while the event
loop is busy. So the journal's statements go over psycopg's asynchronous connections.
"""

from __future__ import annotations

import atexit
import math
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from django.db import connection
from psycopg.pq import TransactionStatus

from common.database.connections import AsyncConnection, on_silence
from common.database.errors import ErrorKind, error_kind
from common.database.parameters import direct_parameters
from common.database.server import probe_async, server
from executions.engine.domain.errors import DatabaseUnavailable

#: The planner does not know how few rows a JSON array holds. All statements find their rows by key, so an index is
#: right for all parameters. Planning a statement anew takes longer than executing it.
_SETTINGS = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}
#: A prepared statement that is not there, is there already, or would return other columns than it did.
FORGOTTEN = (
    psycopg.errors.InvalidSqlStatementName,
    psycopg.errors.DuplicatePreparedStatement,
    psycopg.errors.FeatureNotSupported,
)
MAX_PREPARED = 200  # statements; of more, the least recently used one is prepared anew

Row = tuple[Any, ...]


class PipelineConnection:
    """A connection that opens when it is needed, and again after it was lost. One task uses it at a time."""

    def __init__(self) -> None:
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._silent_since = -math.inf  # by the monotonic clock: another connection waits for a response since then
        self._made_at = 0.0

    async def execute(self, statement: str, parameters: Sequence[str], *, server_changes: int | None = None) -> None:
        """Execute a statement (with %s) as a transaction of its own.

        `server_changes` is `server.changes` from when the statement was made; None: any server is right.

        Raises:
            DatabaseUnavailable: the connection was lost, or there is none; the statement may have been executed. Or the
                server is another one than before: nothing was sent.
            psycopg.Error: the server rejects the statement; nothing is stored.
        """
        async with self._connected() as made:
            if server_changes not in {None, server.changes}:
                raise DatabaseUnavailable("The database is another server than before.")
            await made.execute(statement, parameters)

    async def fetch_all(self, queries: Sequence[tuple[str, Sequence[object]]]) -> list[list[Row]]:
        """Return the rows of each query. All queries share one round trip.

        Raises:
            DatabaseUnavailable: the connection was lost, or there is none.
            psycopg.Error: the server rejects a query.
        """
        async with self._connected() as made:
            async with made.pipeline():
                cursors = [await made.execute(text, parameters) for text, parameters in queries]
            return [await cursor.fetchall() for cursor in cursors]

    def close(self) -> None:
        """Close the connection; the next statement opens a new one."""
        if self._connection is not None:
            self._connection.pgconn.finish()  # its event loop may be closed
            self._connection = None

    def detach_after_fork(self) -> None:
        """Forget the connection in a forked child: it belongs to the parent."""
        # Kept alive on purpose: closing it here would end the parent's session.
        self._inherited = self._connection
        self._connection = None

    def invalidate(self, silent_since: float) -> None:
        """Replace an older connection before its next use: another one gets no response since then."""
        self._silent_since = max(self._silent_since, silent_since)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        if self._connection is None or self._is_lost(self._connection):
            self.close()
            self._made_at = time.monotonic()
            self._connection = await _connect()
        made = self._connection
        try:
            yield made
        except FORGOTTEN:
            self.close()  # the pooler or a failover has taken the prepared statements
            raise
        except psycopg.Error as error:
            if made.closed or error_kind(error) in {ErrorKind.UNAVAILABLE, ErrorKind.READ_ONLY}:
                self.close()
                raise DatabaseUnavailable("The database cannot be used now.") from error
            raise  # some rejections by the server are operational errors, too
        except BaseException:
            self.close()  # above all cancelled: the next statement would get the response to this one
            raise

    def _is_lost(self, made: psycopg.AsyncConnection[Any]) -> bool:
        is_unused = made.pgconn.transaction_status == TransactionStatus.IDLE
        return bool(made.closed) or (is_unused and self._made_at <= self._silent_since)


async def _connect() -> psycopg.AsyncConnection[Any]:
    # Django's own adapters, so that values are those that its connections return.
    adapters = connection.get_connection_params()["context"]
    try:
        made = await AsyncConnection[Any].connect(
            **direct_parameters(), context=adapters, autocommit=True, application_name="scriptorium-journal"
        )
        made.prepare_threshold, made.prepared_max = 0, MAX_PREPARED
        # Those adapters expect all times in the zone that Django sets for its own connections.
        settings = {"TimeZone": connection.timezone_name, **_SETTINGS}
        setting = ", ".join(["set_config(%s, %s, false)"] * len(settings))
        await made.execute(f"SELECT {setting}", [word for pair in settings.items() for word in pair])
        await probe_async(made)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable("The database cannot be reached.") from error
    return made


#: The two connections of this process: reads do not wait for writes.
writing, reading = PipelineConnection(), PipelineConnection()
for _each in (writing, reading):
    atexit.register(_each.close)
    os.register_at_fork(after_in_child=_each.detach_after_fork)
    on_silence(_each.invalidate)


def close() -> None:
    """Close the connections, so that a test's database can be dropped."""
    writing.close()
    reading.close()
