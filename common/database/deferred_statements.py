"""Statements that need no answer travel with the next statement, so that the server is waited for once for all.

`later` keeps such a statement, and the cursors of this module send it before their own, in PostgreSQL's pipeline mode.
`commit` sends what is kept until then together with COMMIT.
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

from common.database.connections import no_answer, wait_seconds

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """A statement that has not been sent yet."""

    text: str
    parameters: Sequence[object] | None = None  # None: it begins a transaction, or begins or ends a savepoint


_kept: WeakKeyDictionary[Connection, list[Kept]] = WeakKeyDictionary()


def later(connection: Connection, text: str, parameters: Sequence[object] | None = None) -> None:
    """Have a statement carried out before the next one of the present transaction, at the latest with its COMMIT.

    What is wrong with it is raised there.
    """
    _kept.setdefault(connection, []).append(Kept(text, parameters))


def take_back(connection: Connection, text: str) -> bool:
    """Drop a statement if it is the last one that is kept; return whether it was."""
    kept = _kept.get(connection)
    if not kept or kept[-1].text != text:
        return False
    kept.pop()
    return True


def take_back_to(connection: Connection, text: str) -> bool:
    """Drop all that is kept after a statement; return whether that is kept. All are dropped if it is not."""
    kept = _kept.pop(connection, [])
    place = next((number for number, each in enumerate(kept) if each.text == text), None)
    if place is None:
        return False
    _kept[connection] = kept[: place + 1]
    return True


def forget(connection: Connection) -> None:
    """Drop all statements that are kept."""
    _kept.pop(connection, None)


def commit(connection: Connection) -> None:
    """Commit, and wait once for that and for all that is kept.

    Raises:
        psycopg.Error: something of it failed; nothing was committed.
    """
    kept = _kept.pop(connection, [])
    if any(each.parameters is not None for each in kept):
        with connection.pipeline():
            _send(connection, [*kept, Kept("COMMIT")])  # psycopg's own `commit` would wait once more
    else:
        connection.commit()  # it ends all savepoints; where nothing was sent there is nothing to commit


def send_kept(connection: Connection) -> None:
    """Carry out what is kept, one after the other; needed before what is not sent by a cursor of this module."""
    _send(connection, _kept.pop(connection, []))


class Cursor(psycopg.Cursor[Any]):
    """Sends what is kept together with its own statement."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Cursor:
        """Carry out a statement, as psycopg does."""
        connection = self.connection
        kept = _kept.pop(connection, [])
        if connection.pgconn.pipeline_status != PipelineStatus.OFF:
            _send(connection, kept)
            super().execute(query, params, **options)
            send_all(connection)
        elif kept and _is_one(query):
            with connection.pipeline():
                _send(connection, kept)
                super().execute(query, params, **options)
                send_all(connection)
        else:
            _send(connection, kept)
            super().execute(query, params, **options)
        return self

    def executemany(self, *given: Any, **options: Any) -> None:
        """Carry out a statement for each of many parameters, as psycopg does."""
        send_kept(self.connection)
        super().executemany(*given, **options)

    def copy(self, *given: Any, **options: Any) -> Any:
        """Begin a COPY, as psycopg does."""
        send_kept(self.connection)
        return super().copy(*given, **options)

    def stream(self, *given: Any, **options: Any) -> Any:
        """Yield rows as they come, as psycopg does."""
        send_kept(self.connection)
        return super().stream(*given, **options)


def _send(connection: Connection, kept: Sequence[Kept]) -> None:
    for each in kept:
        psycopg.Cursor(connection).execute(each.text, each.parameters)


def _is_one(query: object) -> bool:
    """Whether a text is one statement for sure: a pipeline takes no script."""
    return isinstance(query, str) and ";" not in query.rstrip("; \n")


def send_all(connection: Connection) -> None:
    """Wait until the server has been sent what was said so far.

    In pipeline mode psycopg 3.3 leaves the rest of what a socket does not take at once (more than a few 100 kB) to the
    next statement, and waits for an answer if there is none: for ever, as the server waits for the rest.

    Raises:
        NoAnswer: it takes nothing, and says nothing, for too long.
    """
    ready = select.poll()
    ready.register(connection.pgconn.socket, select.POLLIN | select.POLLOUT)
    limit = wait_seconds()
    while connection.pgconn.flush():
        began = time.monotonic()
        found = ready.poll(None if limit is None else limit * 1000)
        if not found:
            connection.close()
            raise no_answer(began, limit)
        if any(event & select.POLLIN for _, event in found):
            connection.pgconn.consume_input()  # a server that cannot say what it has to does not listen
