"""Notifications of a connection that listens, as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from psycopg import AsyncConnection, Notify

from common.database_server import look_async
from common.sockets import is_ready


async def notifications(connection: AsyncConnection[Any], *, silent_seconds: float) -> AsyncIterator[Notify]:
    """Yield each notification. While there is none, nothing runs; psycopg's own generator wakes ten times a second.

    After `silent_seconds` without one it is looked whether the server still answers.

    Raises:
        psycopg.OperationalError: the connection is lost, or does not answer.
    """
    heard: deque[Notify] = deque()
    connection.add_notify_handler(heard.append)  # of those that come with the answer to a statement
    try:
        while True:
            _take(connection, heard)
            while heard:
                yield heard.popleft()
            if await is_ready(connection.fileno(), seconds=silent_seconds):
                connection.pgconn.consume_input()
            else:
                await look_async(connection)
    finally:
        connection.remove_notify_handler(heard.append)


def _take(connection: AsyncConnection[Any], heard: deque[Notify]) -> None:
    while (found := connection.pgconn.notifies()) is not None:
        heard.append(Notify(found.relname.decode(), found.extra.decode(), found.be_pid))
