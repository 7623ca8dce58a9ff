"""One LISTEN connection for all streams of this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from psycopg.sql import SQL, Identifier

from common.database_connections import AsyncConnection
from common.database_errors import is_passing
from common.database_server import look_async, server
from executions.drafts import CHANNEL as DRAFTS
from executions.engine.errors import Unavailable
from executions.progress.cursor import EventLog
from executions.progress.database import direct_parameters
from executions.progress.live import LiveDrafts
from executions.progress.log import FeedTable
from executions.progress.notifications import notifications
from executions.progress.notifier import CHANNEL
from executions.progress.publisher import ProgressPublisher

FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 5.0
PROBE_SECONDS = 10.0  # of silence, until it is seen whether the server still answers
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


class Listener:
    """Reads what notifications hint at, once for all followers, and publishes it."""

    def __init__(
        self,
        *,
        events: tuple[EventLog, ProgressPublisher],
        feeds: tuple[FeedTable, ProgressPublisher],
        drafts: LiveDrafts,
    ) -> None:
        self._events = events
        self._feeds = feeds
        self._drafts = drafts
        self._server_changes = server.changes

    async def run(self) -> None:
        """Listen until cancelled."""
        await listen(CHANNEL, DRAFTS, connected=self._connected, hear=self.hear)

    async def _connected(self) -> None:
        # What happened while nobody listened is in the tables.
        self._drafts.forget()
        is_other, self._server_changes = server.changes != self._server_changes, server.changes
        for _, publisher in (self._events, self._feeds):
            if is_other:
                publisher.doubt_all()
            else:
                publisher.mark_all_behind()

    async def hear(self, payload: str, *, channel: str = CHANNEL) -> None:
        """Publish what is new of the executions that a notification names: their events and texts, or texts alone."""
        ids = named(payload)
        if channel == CHANNEL:
            await _publish(*self._events, ids)
            await self._publish_feeds(ids)
            ids = [each for each in ids if self._drafts.shows(each)]
        try:
            if ids:
                await self._drafts.refresh(ids)
        except Unavailable:
            logger.info("Drafts cannot be read; the next notification makes up for it.")

    async def _publish_feeds(self, execution_ids: Sequence[UUID]) -> None:
        table, publisher = self._feeds
        if not publisher.followed:
            return
        try:
            scopes = await table.among(publisher.followed, execution_ids)
        except Unavailable:
            publisher.mark_all_behind()
        else:
            await _publish(table, publisher, scopes)


async def _publish(log: EventLog, publisher: ProgressPublisher, channels: Sequence[UUID]) -> None:
    """Publish the new events of channels."""
    try:
        while wanted := publisher.unread(channels):
            messages = await log.read(wanted, limit=READ_LIMIT)
            publisher.publish(messages)
            if len(messages) < READ_LIMIT:
                return
    except Unavailable:
        # Their followers go to the table themselves, and wait there until it can be read.
        for channel_id in channels:
            publisher.mark_behind(channel_id)
