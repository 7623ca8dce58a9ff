"""All that the streams of one web process share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from uuid import UUID

from django.conf import settings

from executions.engine.runtime.cancel import cancel_and_wait
from executions.progress.cursor import Cursor
from executions.progress.event_reader import EventTable, FeedTable, Reader
from executions.progress.listener import Listener
from executions.progress.live_drafts import LiveDrafts
from executions.progress.publisher import ProgressPublisher
from executions.progress.sse import Message
from executions.progress.stream_limits import StreamRegistry


class StreamHub:
    """The publishers, the logs and the listener of one event loop; the first stream starts the listener."""

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
        """Return the events of an execution after a sequence, first those in the table, then live.

        Of `types`, when they are given, these alone. An empty list means that it has been silent for
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
        """Return the events of a scope after a number of its feed, first those in the table, then live, without end."""
        self._listen()
        cursor = Cursor(scope_id, after=after, log=self._feed_log, publisher=self.feeds, types=types)
        return cursor.follow(keepalive_seconds=settings.STREAM_KEEPALIVE_SECONDS)

    async def page_of_feed(self, scope_id: UUID, *, after: int, limit_bytes: int) -> tuple[list[Message], bool]:
        """Return the events of a scope after a number of its feed, and whether these are all that there are now.

        It looks no further once it has so many bytes.

        Raises:
            Unavailable: the database is away.
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
        """End every open stream between two events, so that clients come back elsewhere."""
        self.publisher.close()
        self.feeds.close()

    async def close(self) -> None:
        """End every stream and give the database connections back."""
        self.end()
        await self.limits.close()
        if self._listening is not None:
            await cancel_and_wait(self._listening)
        await self._reader.close()
