"""The objects that all streams of a web process share, and its one LISTEN connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection, Sequence
from uuid import UUID

from django.conf import settings

from access.permissions import TokenLimits
from common.database.notifications import listen
from common.database.server import server
from executions.engine.domain.errors import DatabaseUnavailable
from executions.engine.runtime.cancellation import cancel_and_wait
from executions.persistence.drafts import CHANNEL as DRAFTS
from executions.persistence.notifier import CHANNEL, INBOX_CHANNEL
from executions.progress.cursor import Cursor, EventLog
from executions.progress.event_reader import EventTable, FeedTable, Reader
from executions.progress.inbox_watch import InboxWatch
from executions.progress.live_drafts import LiveDrafts
from executions.progress.publisher import ProgressPublisher
from executions.progress.sse import Message
from executions.progress.stream_limits import StreamRegistry


class StreamHub:
    """Publishers, event readers and listener of one event loop. The first stream starts the listener."""

    def __init__(self) -> None:
        self.publisher = ProgressPublisher(queue_size=settings.STREAM_QUEUE_SIZE)
        self.feeds = ProgressPublisher(queue_size=settings.STREAM_QUEUE_SIZE)
        self.inboxes = InboxWatch()
        self.limits = StreamRegistry()
        self._reader = Reader()
        self._log = EventTable(self._reader)
        self._feed_log = FeedTable(self._reader)
        self._drafts = LiveDrafts(self._reader, self.publisher)
        self._listening: asyncio.Task[None] | None = None

    def follow(
        self, execution_id: UUID, *, after: int, types: Collection[str] | None = None
    ) -> AsyncGenerator[list[Message], None]:
        """Return the events of an execution after a sequence number: first from the table, then live.

        With `types`, only events of these types. An empty batch means that nothing was sent for
        `STREAM_KEEPALIVE_SECONDS`.
        """
        self._listen()
        cursor = Cursor(
            execution_id, after=after, log=self._log, publisher=self.publisher, side_channel=self._drafts, types=types
        )
        return cursor.follow(keepalive_seconds=settings.STREAM_KEEPALIVE_SECONDS)

    def follow_feed(
        self, scope_id: UUID, *, after: int, types: Collection[str] | None = None
    ) -> AsyncGenerator[list[Message], None]:
        """Return the events of a scope after a number in its feed: first from the table, then live, without end."""
        self._listen()
        cursor = Cursor(scope_id, after=after, log=self._feed_log, publisher=self.feeds, types=types)
        return cursor.follow(keepalive_seconds=settings.STREAM_KEEPALIVE_SECONDS)

    def follow_inbox(self, user_id: int, limits: TokenLimits | None) -> AsyncGenerator[list[Message], None]:
        """Return the counts of a user's inbox: now, and when they change, without end."""
        self._listen()
        return self.inboxes.follow(user_id, limits=limits, keepalive_seconds=settings.STREAM_KEEPALIVE_SECONDS)

    async def page_of_feed(self, scope_id: UUID, *, after: int, limit_bytes: int) -> tuple[list[Message], bool]:
        """Return the events of a scope after a number in its feed, and whether these are all stored ones.

        It stops reading at about `limit_bytes`.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        cursor = Cursor(scope_id, after=after, log=self._feed_log, publisher=self.feeds)
        return await cursor.page(limit_bytes=limit_bytes)

    def _listen(self) -> None:
        if self._listening is None or self._listening.done():
            listener = Listener(
                events=(self._log, self.publisher),
                feeds=(self._feed_log, self.feeds),
                drafts=self._drafts,
                inboxes=self.inboxes,
            )
            self._listening = asyncio.create_task(listener.run(), name="progress-listener")

    def end(self) -> None:
        """End every open stream between two events, so that clients reconnect to another process."""
        self.publisher.close()
        self.feeds.close()
        self.inboxes.close()

    async def close(self) -> None:
        """End every stream and close the database connections."""
        self.end()
        await self.limits.close()
        if self._listening is not None:
            await cancel_and_wait(self._listening)
        await self._reader.close()


READ_LIMIT = 1_000  # events per query

logger = logging.getLogger(__name__)


def parse_ids(payload: str) -> list[UUID]:
    """Return the ids in a notification; invalid ones are skipped."""
    ids = []
    for text in payload.split(","):
        try:
            ids.append(UUID(text))
        except ValueError:
            logger.warning("A notification on %s has an invalid execution id: %.80r", CHANNEL, text)
    return ids


class Listener:
    """Reads the new events that notifications announce, once for all followers, and publishes them."""

    def __init__(
        self,
        *,
        events: tuple[EventLog, ProgressPublisher],
        feeds: tuple[FeedTable, ProgressPublisher],
        drafts: LiveDrafts,
        inboxes: InboxWatch,
    ) -> None:
        self._events = events
        self._feeds = feeds
        self._drafts = drafts
        self._inboxes = inboxes
        self._server_changes = server.changes

    async def run(self) -> None:
        """Listen until cancelled."""
        await listen(CHANNEL, DRAFTS, INBOX_CHANNEL, connected=self._connected, hear=self.hear)

    async def _connected(self) -> None:
        # Events during the time without a listener are in the tables.
        self._drafts.forget()
        self._inboxes.hear_all()
        is_other, self._server_changes = server.changes != self._server_changes, server.changes
        for _, publisher in (self._events, self._feeds):
            if is_other:
                publisher.doubt_all()
            else:
                publisher.mark_all_behind()

    async def hear(self, payload: str, *, channel: str = CHANNEL) -> None:
        """Publish new events and drafts of the executions in a notification, or only drafts; or counts of inboxes."""
        ids = parse_ids(payload)
        if channel == INBOX_CHANNEL:
            self._inboxes.hear(ids)
            return
        if channel == CHANNEL:
            await _publish(*self._events, ids)
            await self._publish_feeds(ids)
            ids = [execution_id for execution_id in ids if self._drafts.shows(execution_id)]
        try:
            if ids:
                await self._drafts.refresh(ids)
        except DatabaseUnavailable:
            logger.info("Drafts cannot be read now; the next notification repeats it.")

    async def _publish_feeds(self, execution_ids: Sequence[UUID]) -> None:
        table, publisher = self._feeds
        if not publisher.followed:
            return
        try:
            scopes = await table.among(publisher.followed, execution_ids)
        except DatabaseUnavailable:
            publisher.mark_all_behind()
        else:
            await _publish(table, publisher, scopes)


async def _publish(log: EventLog, publisher: ProgressPublisher, channels: Sequence[UUID]) -> None:
    """Publish the new events of channels."""
    try:
        while unread := publisher.unread(channels):
            messages = await log.read(unread, limit=READ_LIMIT)
            publisher.publish(messages)
            if len(messages) < READ_LIMIT:
                return
    except DatabaseUnavailable:
        # The followers read the table themselves, and retry until it can be read.
        for channel_id in channels:
            publisher.mark_behind(channel_id)
