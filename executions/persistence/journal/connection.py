"""Connections of the journal's own, kept, and waited for by the event loop itself.

Statements are sent and their ends are heard of in libpq's asynchronous way (PostgreSQL's manual, "Asynchronous Command
Processing" and "Pipeline Mode"). A thread that waits for the server has to wait for the interpreter's lock as well, up
to 5 ms each time where the event loop is busy.
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
from psycopg.adapt import Transformer
from psycopg.pq import DiagnosticField, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

from common.database.connections import Connection, on_silence, silence_error, wait_seconds
from common.database.errors import ErrorKind, error_kind
from common.database.parameters import direct_parameters
from common.database.server import probe, server
from common.sockets import is_ready
from executions.db_threads import in_thread
from executions.engine.domain.errors import DatabaseUnavailable

#: The planner does not know how few rows a JSON array holds: what is written is found by key, and so by index. That is
#: the plan for whatever parameters; to look for a better one takes longer than to carry it out.
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
MOST_PREPARED = 200  # statements; then they are prepared anew

Row = tuple[Any, ...]


class PipelineConnection:
    """A connection that is made when it is needed, and made anew once it is lost. Whoever uses it uses it alone."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection[Any] | None = None
        self._silent_since = -math.inf  # by the monotonic clock: the process has waited in vain since then
        self._made_at = 0.0
        self._prepared: dict[str, bytes] = {}

    async def send(self, statement: str, parameters: Sequence[bytes], *, server_changes: int | None = None) -> None:
        """Send a statement whose parameters are texts ($1, $2, …), as a transaction of its own; `done` awaits its end.

        `server_changes` is `server.changes` as it was when the statement was made; None: that does not matter.

        Raises:
            Unavailable: the connection was lost, or there is none; what was sent may be carried out. Or the server is
                another one than before: nothing was sent.
            psycopg.Error: the server refuses; nothing is stored.
        """
        if self._connection is not None and self._connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
            self.close()  # whoever has sent something does not wait for its end any more
        async with self._connected() as connection:
            name = self._prepared.get(statement) or await self._prepare(connection.pgconn, statement)
            if server_changes not in {None, server.changes}:
                raise DatabaseUnavailable("The database is another server than before.")
            connection.pgconn.send_query_prepared(name, parameters)
            connection.pgconn.flush()

    async def done(self) -> None:
        """Wait for the end of what was sent.

        Raises:
            Unavailable: the connection was lost; what was sent may have been carried out.
            psycopg.Error: the server refuses; nothing was stored.
        """
        if self._connection is None or self._connection.closed:
            raise DatabaseUnavailable("The connection was lost.")
        async with self._connected() as connection:
            results = await _results(connection.pgconn)
            _raise(results)
            if not results:
                self.close()
                raise DatabaseUnavailable("Nothing was under way.")

    async def fetch_all(self, questions: Sequence[tuple[str, Sequence[bytes]]]) -> list[list[Row]]:
        """Return the rows that each statement finds. They are sent together, and waited for once.

        Raises:
            Unavailable: the connection was lost, or there is none.
            psycopg.Error: the server refuses.
        """
        async with self._connected() as connection:
            pgconn = connection.pgconn
            names = [self._prepared.get(text) or await self._prepare(pgconn, text) for text, _ in questions]
            pgconn.enter_pipeline_mode()
            for name, (_, parameters) in zip(names, questions, strict=True):
                pgconn.send_query_prepared(name, parameters)
            pgconn.pipeline_sync()
            answers = [await _results(pgconn) for _ in questions]
            await _results(pgconn)
            pgconn.exit_pipeline_mode()
            for results in answers:
                _raise(results)
            return [_rows(connection, result) for [result] in answers]

    def close(self) -> None:
        """Let the connection go; the next statement makes a new one."""
        self._prepared = {}
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def forget(self) -> None:
        """Have no connection in a forked child: it is the parent's."""
        # Kept alive on purpose: closing it here would end the parent's session.
        self._inherited = self._connection
        self._connection, self._prepared = None, {}

    def doubt(self, silent_since: float) -> None:
        """Trust no connection that was there when another one of this process began to wait in vain."""
        self._silent_since = max(self._silent_since, silent_since)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[psycopg.Connection[Any]]:
        if self._connection is None or self._is_lost(self._connection):
            self.close()
            self._made_at = time.monotonic()
            self._connection = await in_thread(_connect)
        connection = self._connection
        try:
            yield connection
        except FORGOTTEN:
            self.close()  # it was made anew behind us, or the tables were
            raise
        except psycopg.Error as error:
            if connection.closed or error_kind(error) in {ErrorKind.UNAVAILABLE, ErrorKind.READ_ONLY}:
                self.close()
                raise DatabaseUnavailable("The database cannot be used now.") from error
            raise  # of what the server says, some errors are operational, too
        except BaseException:
            self.close()  # cancelled, above all: what it would answer to the next one belongs to this one
            raise

    def _is_lost(self, connection: psycopg.Connection[Any]) -> bool:
        is_unused = connection.pgconn.transaction_status == TransactionStatus.IDLE
        return bool(connection.closed) or (is_unused and self._made_at <= self._silent_since)

    async def _prepare(self, pgconn: PGconn, statement: str) -> bytes:
        if len(self._prepared) >= MOST_PREPARED:
            pgconn.send_query(b"DEALLOCATE ALL")
            _raise(await _results(pgconn))
            self._prepared = {}
        name = b"journal_%d" % len(self._prepared)
        pgconn.send_prepare(name, statement.encode())
        _raise(await _results(pgconn))
        self._prepared[statement] = name
        return name


async def _results(pgconn: PGconn) -> list[PGresult]:
    """Wait for what the server answers to a statement.

    Raises:
        psycopg.OperationalError: the connection was lost, or the server does not answer in time.
    """
    while pgconn.flush():  # more than the socket takes at once
        await _ready(pgconn, writing=True)
        pgconn.consume_input()  # a server that cannot say what it has to does not listen
    results: list[PGresult] = []
    while True:
        while pgconn.is_busy():
            await _ready(pgconn)
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            return results
        results.append(result)
        if result.status == ExecStatus.PIPELINE_SYNC:
            return results


def _raise(results: Sequence[PGresult]) -> None:
    """Raise what the server has refused."""
    for result in results:
        if result.status in {ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED}:
            state = result.error_field(DiagnosticField.SQLSTATE)
            kind = psycopg.OperationalError if state is None else _kind(state.decode())
            raise kind(result.get_error_message())


def _kind(state: str) -> type[psycopg.Error]:
    try:
        return psycopg.errors.lookup(state)
    except KeyError:  # of an extension
        return psycopg.DatabaseError


def _rows(connection: psycopg.Connection[Any], result: PGresult) -> list[Row]:
    """Return the rows of a result, as values."""
    transformer = Transformer(connection)
    transformer.set_pgresult(result)
    return transformer.load_rows(0, result.ntuples, tuple)


async def _ready(pgconn: PGconn, *, writing: bool = False) -> None:
    """Wait until the socket has something to read, or takes something.

    Raises:
        NoAnswer: that takes too long.
    """
    began, limit = time.monotonic(), wait_seconds()
    if not await is_ready(pgconn.socket, seconds=limit, writing=writing):
        raise silence_error(began, limit)


def _connect() -> psycopg.Connection[Any]:
    # Django's own adapters, so that values are those that its connections return.
    adapters = connection.get_connection_params()["context"]
    try:
        made: Connection[Any] = Connection.connect(
            **direct_parameters(), context=adapters, autocommit=True, application_name="scriptorium-journal"
        )
        # Those adapters take every moment for one in the zone that Django has set for its own connections.
        made.execute("SELECT set_config('TimeZone', %s, false)", [connection.timezone_name])
        for name, value in _SETTINGS.items():
            made.execute(f"SET {name} = {value}")
        probe(made)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable("The database cannot be reached.") from error
    made.pgconn.nonblocking = 1
    return made


#: Of this process: the one that the journal writes over, and the one that it reads over meanwhile.
writing, reading = PipelineConnection(), PipelineConnection()
for _line in (writing, reading):
    atexit.register(_line.close)
    os.register_at_fork(after_in_child=_line.forget)
    on_silence(_line.doubt)


def close() -> None:
    """Close the connections, so that a test's database can be dropped."""
    writing.close()
    reading.close()
