"""LISTEN: receive notifications, and reconnect after a lost connection."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import psycopg
from psycopg import Notify
from psycopg.sql import SQL, Identifier

from common.database.connections import AsyncConnection
from common.database.errors import is_transient
from common.database.parameters import direct_parameters
from common.database.server import probe_async

FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 5.0
PROBE_SECONDS = 10.0  # of silence, before the listener checks whether the server still responds

logger = logging.getLogger(__name__)


async def listen(
    *channels: str, connected: Callable[[], Awaitable[None]], hear: Callable[..., Awaitable[None]]
) -> None:
    """Listen until cancelled. After an error, reconnect with exponential backoff.

    Await `connected` after each LISTEN, and then `hear(payload, channel=…)` for each notification.
    """
    pause = FIRST_RETRY_SECONDS
    while True:
        try:
            async with await AsyncConnection.connect(
                **direct_parameters(), autocommit=True, application_name="scriptorium-listener"
            ) as connection:
                for each in channels:
                    await connection.execute(SQL("LISTEN {}").format(Identifier(each)))
                await probe_async(connection)
                pause = FIRST_RETRY_SECONDS
                await connected()
                async for notification in notifications(connection, silent_seconds=PROBE_SECONDS):
                    await hear(notification.payload, channel=notification.channel)
        except Exception as error:
            if is_transient(error):
                logger.warning("The listener lost its connection; retrying in %.1f s: %s", pause, error)
            else:
                logger.exception("The listener failed; retrying in %.1f s.", pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LAST_RETRY_SECONDS)


async def notifications(connection: psycopg.AsyncConnection[Any], *, silent_seconds: float) -> AsyncIterator[Notify]:
    """Yield each notification. While idle no code runs; psycopg's own generator wakes ten times a second.

    After `silent_seconds` without a notification, check whether the server still responds.

    Raises:
        psycopg.OperationalError: the connection is lost, or the server does not respond.
    """
    received: deque[Notify] = deque()
    connection.add_notify_handler(received.append)  # notifications that arrive with the response to a statement
    try:
        while True:
            _read_pending(connection, received)
            while received:
                yield received.popleft()
            if await is_ready(connection.fileno(), seconds=silent_seconds):
                connection.pgconn.consume_input()
            else:
                await probe_async(connection)
    finally:
        connection.remove_notify_handler(received.append)


def _read_pending(connection: psycopg.AsyncConnection[Any], received: deque[Notify]) -> None:
    while (found := connection.pgconn.notifies()) is not None:
        received.append(Notify(found.relname.decode(), found.extra.decode(), found.be_pid))


async def is_ready(socket: int, *, seconds: float | None, writing: bool = False) -> bool:
    """Wait until a socket is readable (or writable); return False after the timeout.

    Args:
        socket: File descriptor of the socket.
        seconds: The timeout; None: no timeout.
        writing: Also return when the socket is writable.
    """
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(socket, wake)
    if writing:
        loop.add_writer(socket, wake)
    try:
        async with asyncio.timeout(seconds):
            await ready
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(socket)
        if writing:
            loop.remove_writer(socket)
    return True
