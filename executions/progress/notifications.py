"""Notifications of a connection that listens, as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from psycopg import AsyncConnection, Notify


async def notifications(connection: AsyncConnection[Any]) -> AsyncIterator[Notify]:
    """Yield each notification. While there is none, nothing runs; psycopg's own generator wakes ten times a second.

    Raises:
        psycopg.OperationalError: the connection is lost.
    """
    heard: deque[Notify] = deque()
    connection.add_notify_handler(heard.append)  # of those that come with the answer to a statement
    try:
        while True:
            _take(connection, heard)
            while heard:
                yield heard.popleft()
            await _readable(connection.fileno())
            connection.pgconn.consume_input()
    finally:
        connection.remove_notify_handler(heard.append)


def _take(connection: AsyncConnection[Any], heard: deque[Notify]) -> None:
    while (found := connection.pgconn.notifies()) is not None:
        heard.append(Notify(found.relname.decode(), found.extra.decode(), found.be_pid))


async def _readable(socket: int) -> None:
    """Wait until there is something to read."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(socket, wake)
    try:
        await ready
    finally:
        loop.remove_reader(socket)
