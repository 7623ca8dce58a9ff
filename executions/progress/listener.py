"""One LISTEN connection for all streams of this process."""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

import psycopg

from executions.engine.errors import Unavailable
from executions.progress.cursor import EventLog
from executions.progress.database import connection_parameters
from executions.progress.notifier import CHANNEL
from executions.progress.publisher import ProgressPublisher

FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 5.0
READ_LIMIT = 1_000  # events read at once

logger = logging.getLogger(__name__)


def named(payload: str) -> list[UUID]:
    """Return the ids in a notification; what is none is passed over."""
    ids = []
    for text in payload.split(","):
        try:
            ids.append(UUID(text))
        except ValueError:
            logger.warning("A notification on %s names no execution: %.80r", CHANNEL, text)
    return ids


class Listener:
    """Reads the events that notifications hint at, once for all followers, and publishes them."""

    def __init__(self, *, log: EventLog, publisher: ProgressPublisher) -> None:
        self._log = log
        self._publisher = publisher

    async def run(self) -> None:
        """Listen until cancelled; a lost connection is made anew, with a growing pause between the tries."""
        pause = FIRST_RETRY_SECONDS
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    **connection_parameters(), autocommit=True, application_name="scriptorium-listener"
                ) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    pause = FIRST_RETRY_SECONDS
                    # What happened while nobody listened is in the table.
                    self._publisher.mark_all_behind()
                    async for notification in connection.notifies():
                        await self.hear(notification.payload)
            except psycopg.OperationalError as error:
                logger.warning("The listener has no connection; trying again in %.1f s: %s", pause, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_RETRY_SECONDS)

    async def hear(self, payload: str) -> None:
        """Publish the new events of the executions that a notification names."""
        ids = named(payload)
        try:
            while wanted := self._publisher.unread(ids):
                events = await self._log.read(wanted, limit=READ_LIMIT)
                self._publisher.publish(events)
                if len(events) < READ_LIMIT:
                    return
        except Unavailable:
            # Their followers go to the table themselves, and wait there until it can be read.
            for execution_id in ids:
                self._publisher.mark_behind(execution_id)
