"""Notifies other processes of executions with new events: one combined NOTIFY some milliseconds after a commit.

Notifications are hints. Streams read the event table, and they poll it if a notification is missing. So a notification
that cannot be sent is dropped.
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
INBOX_CHANNEL = "scriptorium_inbox"  # ids of root scopes in whose inbox entries have changed
DELAY_SECONDS = 0.004  # ids of this time share a notification; longer delays add latency, shorter ones add load
BUSY_IDS = 8  # ids in that time: a multiple of the ids at 600 events a second
BUSY_DELAY_SECONDS = 0.016  # additional delay at that load
PAYLOAD_BYTES = 7_000  # PostgreSQL's limit is 8,000
STOP_SECONDS = 2.0

logger = logging.getLogger(__name__)
_NOTIFY = b"SELECT pg_notify($1, $2)"


def payloads(execution_ids: Iterable[UUID]) -> Iterator[str]:
    """Yield the ids joined by commas, in as few strings as `PAYLOAD_BYTES` allows."""
    texts = [str(each) for each in execution_ids]
    per_payload = PAYLOAD_BYTES // (len(str(UUID(int=0))) + 1)
    for start in range(0, len(texts), per_payload):
        yield ",".join(texts[start : start + per_payload])


class Notifier:
    """A thread with a connection of its own.

    Both start with the first announcement; a failed connection is replaced.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        self._connect = connect
        self._connection: psycopg.Connection | None = None
        self._reset()

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._pending: dict[tuple[str, UUID], None] = {}  # channels and ids
        self._thread: threading.Thread | None = None
        self._stopping = False

    def announce(self, *ids: UUID, channel: str = CHANNEL) -> None:
        """Add ids to the next notification of a channel. Returns at once and never raises."""
        if not ids:
            return
        with self._changed:
            is_first = not self._pending  # the thread waits for the first one; later ones are included
            self._pending.update(dict.fromkeys((channel, each) for each in ids))
            if self._thread is None or not self._thread.is_alive():
                self._start()
            elif is_first:
                self._changed.notify()

    def stop(self) -> None:
        """Send pending notifications, close the connection and end the thread; a later announcement restarts it."""
        with self._changed:
            thread, self._stopping = self._thread, True
            self._changed.notify()
        if thread is not None:
            thread.join(STOP_SECONDS)
        with self._changed:
            self._stopping = False

    def detach_after_fork(self) -> None:
        """Reset the notifier in a forked child: thread and connection belong to the parent."""
        # Keep a reference: closing the connection here would end the parent's session.
        self._inherited = self._connection
        self._connection = None
        self._reset()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="progress-notifier", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is shutting down
            logger.warning("The notifier thread cannot start; %d notifications are dropped.", len(self._pending))
            self._pending.clear()
        else:
            self._thread = thread

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            self._send(batch)
        self._disconnect()

    def _next_batch(self) -> dict[tuple[str, UUID], None] | None:
        """Wait for announcements and return them; None when the thread has to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._stopping)
            # Collect further ids during the delay. Only `stop` ends it early.
            self._changed.wait_for(lambda: self._stopping, timeout=DELAY_SECONDS)
            if len(self._pending) >= BUSY_IDS:  # each notification wakes every web process
                self._changed.wait_for(lambda: self._stopping, timeout=BUSY_DELAY_SECONDS)
            batch, self._pending = self._pending, {}
            if not batch:
                self._thread = None
                return None
            return batch

    def _send(self, batch: dict[tuple[str, UUID], None]) -> None:
        try:
            if self._connection is not None:
                try:
                    self._notify(self._connection, batch)
                except psycopg.OperationalError:  # the server was restarted: retry on a new connection
                    self._disconnect()
            if self._connection is None:
                self._connection = self._connect()
                self._notify(self._connection, batch)
        except (psycopg.Error, OSError) as error:
            logger.warning("A notification failed; %d notifications are dropped: %s", len(batch), error)
            self._disconnect()

    def _notify(self, connection: psycopg.Connection, batch: dict[tuple[str, UUID], None]) -> None:
        for channel in (CHANNEL, INBOX_CHANNEL):
            for payload in payloads(each for name, each in batch if name == channel):
                self._notify_one(connection, channel, payload)

    def _notify_one(self, connection: psycopg.Connection, channel: str, payload: str) -> None:
        # libpq calls, because psycopg's Python code would hold the GIL and delay the event loop.
        connection.pgconn.send_query_params(_NOTIFY, [channel.encode(), payload.encode()])
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
    """Notify other processes, some milliseconds from now, that the executions have new events.

    The id of a scope tells of a new event in its feed that is in no execution's log.

    Call it after the commit, from any thread. It never blocks and never raises.
    """
    _notifier.announce(*execution_ids)


def announce_inbox(*root_ids: UUID) -> None:
    """Notify other processes, some milliseconds from now, that the inbox of root scopes has changed. As `announce`."""
    _notifier.announce(*root_ids, channel=INBOX_CHANNEL)


def stop() -> None:
    """Close the notifier's connection, so that a test's database can be dropped."""
    _notifier.stop()
