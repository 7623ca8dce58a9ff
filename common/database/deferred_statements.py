"""Deferred statements: statements without a result share the round trip of the next statement.

`defer` queues a statement. The cursors of this module send the queue before their own statement, in PostgreSQL's
pipeline mode. `commit` sends the rest of the queue together with COMMIT.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg.pq import PipelineStatus

from common.database.connections import silence_error, wait_seconds

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class DeferredStatement:
    """A statement in the queue."""

    text: str
    parameters: Sequence[object] | None = (
        None  # None: the statement begins a transaction, or begins or ends a savepoint
    )


_queues: WeakKeyDictionary[Connection, list[DeferredStatement]] = WeakKeyDictionary()


def defer(connection: Connection, text: str, parameters: Sequence[object] | None = None) -> None:
    """Queue a statement; it is sent before the transaction's next statement, at the latest with COMMIT.

    An error of the statement is raised by that later statement.
    """
    _queues.setdefault(connection, []).append(DeferredStatement(text, parameters))


def drop_last(connection: Connection, text: str) -> bool:
    """Drop a statement if it is the last of the queue; return whether it was."""
    queue = _queues.get(connection)
    if not queue or queue[-1].text != text:
        return False
    queue.pop()
    return True


def drop_after(connection: Connection, text: str) -> bool:
    """Drop the statements after the given one; return whether it is queued. If not, drop the whole queue."""
    queue = _queues.pop(connection, [])
    position = next((number for number, each in enumerate(queue) if each.text == text), None)
    if position is None:
        return False
    _queues[connection] = queue[: position + 1]
    return True


def drop_all(connection: Connection) -> None:
    """Drop the queue."""
    _queues.pop(connection, None)


def commit(connection: Connection) -> None:
    """Send the queue and COMMIT in one round trip.

    Raises:
        psycopg.Error: a statement failed; nothing was committed.
    """
    kept = _queues.pop(connection, [])
    if any(each.parameters is not None for each in kept):
        with connection.pipeline():
            _send(connection, [*kept, DeferredStatement("COMMIT")])  # psycopg's `commit` would cost another round trip
    else:
        connection.commit()  # ends all savepoints; a transaction that was never sent needs no COMMIT


def send_deferred(connection: Connection) -> None:
    """Send the queue now; needed before a statement that does not use a cursor of this module."""
    _send(connection, _queues.pop(connection, []))


class Cursor(psycopg.Cursor[Any]):
    """A cursor that sends the queue together with its own statement."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Cursor:
        """Execute a statement, as psycopg does."""
        connection = self.connection
        kept = _queues.pop(connection, [])
        if connection.pgconn.pipeline_status != PipelineStatus.OFF:
            _send(connection, kept)
            super().execute(query, params, **options)
            flush_output(connection)
        elif kept and _is_single(query):
            with connection.pipeline():
                _send(connection, kept)
                super().execute(query, params, **options)
                flush_output(connection)
        else:
            _send(connection, kept)
            super().execute(query, params, **options)
        return self

    def executemany(self, *given: Any, **options: Any) -> None:
        """Execute a statement for each parameter set, as psycopg does."""
        send_deferred(self.connection)
        super().executemany(*given, **options)

    def copy(self, *given: Any, **options: Any) -> Any:
        """Begin a COPY, as psycopg does."""
        send_deferred(self.connection)
        return super().copy(*given, **options)

    def stream(self, *given: Any, **options: Any) -> Any:
        """Yield rows as they come, as psycopg does."""
        send_deferred(self.connection)
        return super().stream(*given, **options)


def _send(connection: Connection, kept: Sequence[DeferredStatement]) -> None:
    for each in kept:
        psycopg.Cursor(connection).execute(each.text, each.parameters)


def _is_single(query: object) -> bool:
    """Return whether a text is certainly one statement: pipeline mode rejects scripts."""
    return isinstance(query, str) and ";" not in query.rstrip("; \n")


def flush_output(connection: Connection) -> None:
    """Wait until the socket has accepted all pending output.

    In pipeline mode psycopg 3.3 sends what the socket accepts at once, a few 100 kB. It leaves the rest to the next
    statement. Without a next statement it waits for a response forever, because the server waits for the rest.

    Raises:
        NoAnswer: the server neither accepted nor sent data within the limit.
    """
    ready = select.poll()
    ready.register(connection.pgconn.socket, select.POLLIN | select.POLLOUT)
    limit = wait_seconds()
    while connection.pgconn.flush():
        began = time.monotonic()
        found = ready.poll(None if limit is None else limit * 1000)
        if not found:
            connection.close()
            raise silence_error(began, limit)
        if any(event & select.POLLIN for _, event in found):
            connection.pgconn.consume_input()  # a server whose own output is blocked stops reading
