"""Notifications of a connection that listens, as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from psycopg import AsyncConnection, Notify

from common.database_server import look_async


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
            if await _is_readable(connection.fileno(), seconds=silent_seconds):
                connection.pgconn.consume_input()
            else:
                await look_async(connection)
    finally:
        connection.remove_notify_handler(heard.append)


def _take(connection: AsyncConnection[Any], heard: deque[Notify]) -> None:
    while (found := connection.pgconn.notifies()) is not None:
        heard.append(Notify(found.relname.decode(), found.extra.decode(), found.be_pid))


async def _is_readable(socket: int, *, seconds: float) -> bool:
    """Wait until there is something to read; return False if there is nothing for so long."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(socket, wake)
    try:
        async with asyncio.timeout(seconds):
            await ready
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(socket)
    return True
