"""One client's way through an execution's log: from the table first, then live, each event exactly once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Protocol
from uuid import UUID

from executions.engine.errors import Unavailable
from executions.engine.events import EventType, ProgressEvent
from executions.progress.publisher import ProgressPublisher, Subscription
from executions.progress.wire import Message, encode

PAGE_SIZE = 200  # events read at once: what a slow client can make this process hold
RETRY_SECONDS = 1.0  # until the table is read again, after it could not be

logger = logging.getLogger(__name__)


class EventLog(Protocol):
    """The table of events, read."""

    async def read(self, after: dict[UUID, int], *, limit: int) -> list[ProgressEvent]:
        """Return the events of each execution that come after its sequence, in order, at most `limit` in all.

        Raises:
            Unavailable: the database is away.
        """

    async def is_end(self, execution_id: UUID, sequence: int) -> bool:
        """Whether the execution has ended and `sequence` is its last event.

        Raises:
            Unavailable: the database is away.
        """


class Cursor:
    """Follows one execution for one client."""

    def __init__(self, execution_id: UUID, *, after: int, log: EventLog, publisher: ProgressPublisher) -> None:
        self._execution_id = execution_id
        self._last = after
        self._at_complete = False  # the last event handed out was `complete`
        self._log = log
        self._publisher = publisher

    async def follow(self, *, keepalive_seconds: float) -> AsyncGenerator[list[Message], None]:
        """Yield the events after the last one, in order, as many as are there at once.

        An empty list means that nothing has happened for `keepalive_seconds`. Ends after the last event of an
        execution that has ended, and when this process ends.
        """
        subscription = self._publisher.subscribe(self._execution_id)
        try:
            while not subscription.closed:
                try:
                    if self._at_complete and await self._log.is_end(self._execution_id, self._last):
                        return
                    messages = await self._next(subscription, keepalive_seconds)
                except Unavailable:
                    logger.warning("The events of %s cannot be read; trying again.", self._execution_id)
                    subscription.mark_behind()
                    messages = []
                    await asyncio.sleep(RETRY_SECONDS)
                if messages:
                    self._at_complete = messages[-1].event.event_type is EventType.COMPLETE
                if messages is not None:
                    yield messages
        finally:
            self._publisher.unsubscribe(subscription)

    async def _next(self, subscription: Subscription, keepalive_seconds: float) -> list[Message] | None:
        """Return new messages, an empty list after a silence, None when there is nothing to tell yet."""
        if subscription.behind:
            return await self._read(subscription) or None
        if await subscription.wait(keepalive_seconds):
            return self._in_order(subscription) or None
        # Silence may also mean that a process died between its commit and its notification.
        subscription.mark_behind()
        return await self._read(subscription)

    async def _read(self, subscription: Subscription) -> list[Message]:
        subscription.catch_up()
        events = await self._log.read({self._execution_id: self._last}, limit=PAGE_SIZE)
        if events:
            self._last = events[-1].sequence
        if len(events) == PAGE_SIZE:
            subscription.mark_behind()
        else:
            self._publisher.start_at(self._execution_id, self._last)
        return [encode(event) for event in events]

    def _in_order(self, subscription: Subscription) -> list[Message]:
        """Return the queued messages that come next; a gap sends the cursor back to the table."""
        messages = []
        for message in subscription.take():
            sequence = message.event.sequence
            if sequence <= self._last:
                continue
            if sequence > self._last + 1:
                subscription.mark_behind()
                break
            messages.append(message)
            self._last = sequence
        return messages
