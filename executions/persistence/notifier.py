"""Tells the other processes which executions have new events: one coalesced NOTIFY some milliseconds after a commit.

A notification is a hint. The event table is the truth, and every stream repairs itself from it, so a hint that cannot
be sent is dropped.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from uuid import UUID

import psycopg
from psycopg import generators
from psycopg.pq import ExecStatus

from common.database.connections import Connection
from common.database.parameters import connection_parameters

CHANNEL = "scriptorium_events"
DELAY_SECONDS = 0.004  # ids that come in meanwhile share a notification; more costs latency, less costs the database
BUSY_IDS = 8  # in that time: a multiple of what 600 events a second bring about
BUSY_DELAY_SECONDS = 0.016  # then more wait besides
PAYLOAD_BYTES = 7_000  # PostgreSQL takes less than 8,000
STOP_SECONDS = 2.0

logger = logging.getLogger(__name__)
_NOTIFY = b"SELECT pg_notify($1, $2)"


def payloads(execution_ids: Iterable[UUID]) -> Iterator[str]:
    """Yield the ids joined by commas, as few strings as `PAYLOAD_BYTES` allows."""
    texts = [str(each) for each in execution_ids]
    per_payload = PAYLOAD_BYTES // (len(str(UUID(int=0))) + 1)
    for start in range(0, len(texts), per_payload):
        yield ",".join(texts[start : start + per_payload])


class Notifier:
    """A thread with a connection of its own, both made with the first announcement and remade after a failure."""

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        self._connect = connect
        self._connection: psycopg.Connection | None = None
        self._reset()

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._pending: dict[UUID, None] = {}
        self._thread: threading.Thread | None = None
        self._stopping = False

    def announce(self, *execution_ids: UUID) -> None:
        """Have the executions named in the next notification. Returns at once and never raises."""
        if not execution_ids:
            return
        with self._changed:
            is_first = not self._pending  # the thread waits for that; the others join
            self._pending.update(dict.fromkeys(execution_ids))
            if self._thread is None or not self._thread.is_alive():
                self._start()
            elif is_first:
                self._changed.notify()

    def stop(self) -> None:
        """Send what is pending, close the connection and end the thread; a later announcement starts it anew."""
        with self._changed:
            thread, self._stopping = self._thread, True
            self._changed.notify()
        if thread is not None:
            thread.join(STOP_SECONDS)
        with self._changed:
            self._stopping = False

    def detach_after_fork(self) -> None:
        """Start from nothing in a forked child: the thread and the connection are the parent's."""
        # Kept alive on purpose: closing it here would end the parent's session.
        self._inherited = self._connection
        self._connection = None
        self._reset()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="progress-notifier", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread starts any more as the interpreter ends
            logger.warning("The notifier thread cannot start; %d notifications are dropped.", len(self._pending))
            self._pending.clear()
        else:
            self._thread = thread

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            self._send(batch)
        self._disconnect()

    def _next_batch(self) -> dict[UUID, None] | None:
        """Wait for announcements and return them; None when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._stopping)
            # Let others of the same moment join; the condition is notified early only to be stopped.
            self._changed.wait_for(lambda: self._stopping, timeout=DELAY_SECONDS)
            if len(self._pending) >= BUSY_IDS:  # each notification wakes every web process
                self._changed.wait_for(lambda: self._stopping, timeout=BUSY_DELAY_SECONDS)
            batch, self._pending = self._pending, {}
            if not batch:
                self._thread = None
                return None
            return batch

    def _send(self, batch: dict[UUID, None]) -> None:
        try:
            if self._connection is not None:
                try:
                    self._notify(self._connection, batch)
                except psycopg.OperationalError:  # the server was restarted since: once more, on a new connection
                    self._disconnect()
            if self._connection is None:
                self._connection = self._connect()
                self._notify(self._connection, batch)
        except (psycopg.Error, OSError) as error:
            logger.warning("A notification failed; %d notifications are dropped: %s", len(batch), error)
            self._disconnect()

    def _notify(self, connection: psycopg.Connection, batch: dict[UUID, None]) -> None:
        # As libpq has it: the event loop does not get on while this thread is at work on statements and rows.
        for payload in payloads(batch):
            connection.pgconn.send_query_params(_NOTIFY, [CHANNEL.encode(), payload.encode()])
            [result] = connection.wait(generators.execute(connection.pgconn))
            if result.status != ExecStatus.TUPLES_OK:
                raise psycopg.OperationalError(result.get_error_message())

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _connect() -> psycopg.Connection:
    return Connection.connect(**connection_parameters(), autocommit=True, application_name="scriptorium-notifier")


_notifier = Notifier(_connect)
atexit.register(_notifier.stop)
os.register_at_fork(after_in_child=_notifier.detach_after_fork)


def announce(*execution_ids: UUID) -> None:
    """Tell the other processes, some milliseconds from now, that the executions have new events.

    Call it after the commit, from any thread. It never blocks and never raises.
    """
    _notifier.announce(*execution_ids)


def stop() -> None:
    """Close the notifier's connection, so that a test's database can be dropped."""
    _notifier.stop()
