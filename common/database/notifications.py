"""LISTEN: notifications as they come, over a connection that is made anew when it is lost."""

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
from common.database.errors import is_passing
from common.database.parameters import direct_parameters
from common.database.server import look_async
from common.sockets import is_ready

FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 5.0
PROBE_SECONDS = 10.0  # of silence, until it is seen whether the server still answers

logger = logging.getLogger(__name__)


async def listen(
    *channels: str, connected: Callable[[], Awaitable[None]], hear: Callable[..., Awaitable[None]]
) -> None:
    """Listen until cancelled; after a lost connection, or a fault, anew, with a growing pause between the tries.

    `connected` is awaited once it listens, and then `hear(payload, channel=…)` for each notification.
    """
    pause = FIRST_RETRY_SECONDS
    while True:
        try:
            async with await AsyncConnection.connect(
                **direct_parameters(), autocommit=True, application_name="scriptorium-listener"
            ) as connection:
                for each in channels:
                    await connection.execute(SQL("LISTEN {}").format(Identifier(each)))
                await look_async(connection)
                pause = FIRST_RETRY_SECONDS
                await connected()
                async for notification in notifications(connection, silent_seconds=PROBE_SECONDS):
                    await hear(notification.payload, channel=notification.channel)
        except Exception as error:
            if is_passing(error):
                logger.warning("The listener has no connection; trying again in %.1f s: %s", pause, error)
            else:
                logger.exception("The listener failed; trying again in %.1f s.", pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LAST_RETRY_SECONDS)


async def notifications(connection: psycopg.AsyncConnection[Any], *, silent_seconds: float) -> AsyncIterator[Notify]:
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


def _take(connection: psycopg.AsyncConnection[Any], heard: deque[Notify]) -> None:
    while (found := connection.pgconn.notifies()) is not None:
        heard.append(Notify(found.relname.decode(), found.extra.decode(), found.be_pid))
