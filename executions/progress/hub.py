"""The objects that all streams of a web process share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from uuid import UUID

from django.conf import settings

from executions.engine.runtime.cancellation import cancel_and_wait
from executions.progress.cursor import Cursor
from executions.progress.event_reader import EventTable, FeedTable, Reader
from executions.progress.listener import Listener
from executions.progress.live_drafts import LiveDrafts
from executions.progress.publisher import ProgressPublisher
from executions.progress.sse import Message
from executions.progress.stream_limits import StreamRegistry


class StreamHub:
    """Publishers, event readers and listener of one event loop. The first stream starts the listener."""

    def __init__(self) -> None:
        self.publisher = ProgressPublisher(queue_size=settings.STREAM_QUEUE_SIZE)
        self.feeds = ProgressPublisher(queue_size=settings.STREAM_QUEUE_SIZE)
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
                events=(self._log, self.publisher), feeds=(self._feed_log, self.feeds), drafts=self._drafts
            )
            self._listening = asyncio.create_task(listener.run(), name="progress-listener")

    def end(self) -> None:
        """End every open stream between two events, so that clients reconnect to another process."""
        self.publisher.close()
        self.feeds.close()

    async def close(self) -> None:
        """End every stream and close the database connections."""
        self.end()
        await self.limits.close()
        if self._listening is not None:
            await cancel_and_wait(self._listening)
        await self._reader.close()
