"""Hands the new events of executions to everyone in this process who follows them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from executions.engine.events import ProgressEvent
from executions.progress.wire import Message, encode


class Subscription:
    """One follower's bounded queue. It starts `behind`: what is in the table already has to be read there."""

    def __init__(self, execution_id: UUID, *, size: int) -> None:
        self.execution_id = execution_id
        self.behind = True
        self.closed = False
        self._size = size
        self._messages: deque[Message] = deque()
        self._changed = asyncio.Event()

    def offer(self, message: Message) -> None:
        """Queue an event; a full queue is dropped instead, and its follower has to read the table."""
        if self.behind:
            return
        if len(self._messages) >= self._size:
            self.mark_behind()
            return
        self._messages.append(message)
        self._changed.set()

    def mark_behind(self) -> None:
        """Drop the queue: events may be missing in it."""
        self._messages.clear()
        self.behind = True
        self._changed.set()

    def catch_up(self) -> None:
        """Queue again from now on. Call it before the table is read, so that nothing falls between the two."""
        self.behind = False

    def close(self) -> None:
        """Wake the follower to tell it that this process ends."""
        self.closed = True
        self._changed.set()

    def take(self) -> list[Message]:
        """Return what is queued, and empty the queue."""
        messages = list(self._messages)
        self._messages.clear()
        return messages

    async def wait(self, seconds: float) -> bool:
        """Wait until there is something to do; False when nothing happened for so long."""
        if not self._messages:
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                return False
        self._changed.clear()
        return True


@dataclass(slots=True)
class _Channel:
    """The followers of one execution."""

    position: int | None = None  # events up to it were handed out or read; None: nobody has read the table yet
    subscriptions: set[Subscription] = field(default_factory=set)


class ProgressPublisher:
    """The followers of all executions in one process; belongs to one event loop."""

    def __init__(self, *, queue_size: int) -> None:
        self._queue_size = queue_size
        self._closed = False
        self._channels: dict[UUID, _Channel] = {}

    def subscribe(self, execution_id: UUID) -> Subscription:
        """Return a new subscription to the execution's events; a closed one when this process ends."""
        subscription = Subscription(execution_id, size=self._queue_size)
        if self._closed:
            subscription.close()
        self._channels.setdefault(execution_id, _Channel()).subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; ending it again changes nothing."""
        channel = self._channels.get(subscription.execution_id)
        if channel is None:
            return
        channel.subscriptions.discard(subscription)
        if not channel.subscriptions:
            del self._channels[subscription.execution_id]

    def publish(self, events: Iterable[ProgressEvent]) -> None:
        """Offer events, in the order given, to the followers of their executions."""
        for event in events:
            channel = self._channels.get(event.execution_id)
            if channel is None:
                continue
            message = encode(event)
            for subscription in channel.subscriptions:
                subscription.offer(message)
            channel.position = max(channel.position or 0, event.sequence)

    def start_at(self, execution_id: UUID, sequence: int) -> None:
        """Note that a first follower has read the table up to `sequence`; later ones change nothing."""
        channel = self._channels.get(execution_id)
        if channel is not None and channel.position is None:
            channel.position = sequence

    def unread(self, execution_ids: Iterable[UUID]) -> dict[UUID, int]:
        """Return which of the executions are followed here, each with the sequence after which to read.

        Followers of one whose position is not known read the table themselves; they are marked as behind.
        """
        wanted = {}
        for execution_id in execution_ids:
            channel = self._channels.get(execution_id)
            if channel is None:
                continue
            if channel.position is None:
                self.mark_behind(execution_id)
            else:
                wanted[execution_id] = channel.position
        return wanted

    def mark_behind(self, execution_id: UUID) -> None:
        """Have the followers of one execution read the table."""
        if channel := self._channels.get(execution_id):
            for subscription in channel.subscriptions:
                subscription.mark_behind()

    def mark_all_behind(self) -> None:
        """Have all followers read the table: notifications may have been lost."""
        for execution_id in self._channels:
            self.mark_behind(execution_id)

    def close(self) -> None:
        """End every stream of this process, and each that is opened from now on."""
        self._closed = True
        for channel in self._channels.values():
            for subscription in channel.subscriptions:
                subscription.close()
