"""All that the streams of one web process share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from uuid import UUID

from django.conf import settings

from executions.progress.cancel import end
from executions.progress.cursor import Cursor
from executions.progress.listener import Listener
from executions.progress.log import EventTable
from executions.progress.places import Places
from executions.progress.publisher import ProgressPublisher
from executions.progress.wire import Message


class Streams:
    """The publisher, the log and the listener of one event loop; the first stream starts the listener."""

    def __init__(self) -> None:
        self.publisher = ProgressPublisher(queue_size=settings.STREAM_QUEUE_SIZE)
        self.places = Places()
        self._log = EventTable()
        self._listening: asyncio.Task[None] | None = None

    def follow(
        self, execution_id: UUID, *, after: int, types: Collection[str] | None = None
    ) -> AsyncGenerator[list[Message], None]:
        """Return the events of an execution after a sequence, first those in the table, then live.

        Of `types`, when they are given, these alone. An empty list means that it has been silent for
        `STREAM_KEEPALIVE_SECONDS`.
        """
        if self._listening is None or self._listening.done():
            listener = Listener(log=self._log, publisher=self.publisher)
            self._listening = asyncio.create_task(listener.run(), name="progress-listener")
        cursor = Cursor(execution_id, after=after, log=self._log, publisher=self.publisher, types=types)
        return cursor.follow(keepalive_seconds=settings.STREAM_KEEPALIVE_SECONDS)

    def end(self) -> None:
        """End every open stream between two events, so that clients come back elsewhere."""
        self.publisher.close()

    async def close(self) -> None:
        """End every stream and give the database connections back."""
        self.end()
        await self.places.close()
        if self._listening is not None:
            await end(self._listening)
        await self._log.close()
