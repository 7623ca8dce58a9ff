"""Publishes new events to their followers in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from executions.progress.sse import Message


class Subscription:
    """A follower's bounded queue. It starts as `behind`: the follower first has to read the table."""

    def __init__(self, channel_id: UUID, *, size: int) -> None:
        self.channel_id = channel_id
        self.behind = True
        self.closed = False
        self.doubtful = False  # the database may have lost events that the follower has sent
        self._size = size
        self._messages: list[Message] = []
        self._is_woken = False  # the follower has not reacted yet
        self._waiter: asyncio.Future[bool] | None = None
        self._deadline = 0.0  # end of the wait, by the loop's clock
        self._timer: asyncio.TimerHandle | None = None

    def offer(self, message: Message) -> None:
        """Queue an event. A full queue is discarded, and its follower has to read the table."""
        if self.behind:
            return
        if len(self._messages) >= self._size:
            self.mark_behind()
            return
        self._messages.append(message)
        self.nudge()

    def mark_behind(self) -> None:
        """Discard the queue: events may be missing."""
        self._messages = []
        self.behind = True
        self.nudge()

    def catch_up(self) -> None:
        """Queue events from now on. Must be called before the table is read, so that no event is missed in between."""
        self.behind = False

    @property
    def is_idle(self) -> bool:
        """Whether the queue is empty and no event is known to be missing."""
        return not (self.behind or self._messages)

    def nudge(self) -> None:
        """Wake the follower: there is something new in the log or beside it."""
        self._is_woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    def close(self) -> None:
        """Wake the follower, because this process shuts down."""
        self.closed = True
        self.nudge()

    def take(self) -> list[Message]:
        """Return the queued events and empty the queue."""
        messages, self._messages = self._messages, []
        return messages

    async def wait(self, seconds: float) -> bool:
        """Wait until there is something to do; return False if nothing happened in this time."""
        was_woken = True
        if not (self._messages or self._is_woken):
            loop = asyncio.get_running_loop()
            self._waiter, self._deadline = loop.create_future(), loop.time() + seconds
            if self._timer is None or self._timer.when() > self._deadline:
                self._set_timer(loop)
            try:
                was_woken = await self._waiter or self._is_woken
            finally:
                self._waiter = None
        self._is_woken = False
        return was_woken

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(self._deadline, self._on_timer, loop)

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the follower's wait, or set the timer again if the deadline has moved.

        One timer serves many waits. Setting and cancelling it for each wait would cost more than the rest of a
        delivery.
        """
        self._timer = None
        if self._waiter is not None and not self._waiter.done():
            if loop.time() < self._deadline:
                self._set_timer(loop)
            else:
                self._waiter.set_result(False)


@dataclass(slots=True)
class _Channel:
    """The followers of one execution, or of one scope's feed."""

    position: int | None = None  # published or read up to here; None: no follower has read the table yet
    subscriptions: set[Subscription] = field(default_factory=set)


class ProgressPublisher:
    """The followers of all executions, or of all feeds, in one process. Belongs to one event loop."""

    def __init__(self, *, queue_size: int) -> None:
        self._queue_size = queue_size
        self._closed = False
        self._channels: dict[UUID, _Channel] = {}

    def subscribe(self, channel_id: UUID) -> Subscription:
        """Return a new subscription to the channel; a closed one while this process shuts down."""
        subscription = Subscription(channel_id, size=self._queue_size)
        if self._closed:
            subscription.close()
        self._channels.setdefault(channel_id, _Channel()).subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription. Ending it again has no effect."""
        channel = self._channels.get(subscription.channel_id)
        if channel is None:
            return
        channel.subscriptions.discard(subscription)
        if not channel.subscriptions:
            del self._channels[subscription.channel_id]

    def publish(self, messages: Iterable[Message]) -> None:
        """Queue events, in the given order, for the followers of their channels."""
        for message in messages:
            channel = self._channels.get(message.channel)
            if channel is None:
                continue
            for subscription in channel.subscriptions:
                subscription.offer(message)
            channel.position = max(channel.position or 0, message.number)

    def start_at(self, channel_id: UUID, number: int) -> int:
        """Record that the first follower has read the table up to an event; later calls do not change it.

        Returns:
            The number up to which events were published or read in this process. Later events will be published.
        """
        channel = self._channels.get(channel_id)
        if channel is None:
            return number
        if channel.position is None:
            channel.position = number
        return channel.position

    @property
    def followed(self) -> Collection[UUID]:
        """The channels with followers in this process."""
        return self._channels.keys()

    def nudge(self, channel_id: UUID) -> None:
        """Wake the followers of a channel: there is something new beside its log."""
        if channel := self._channels.get(channel_id):
            for subscription in channel.subscriptions:
                subscription.nudge()

    def unread(self, channels: Iterable[UUID]) -> dict[UUID, int]:
        """Return the followed ones of these channels, each with the number after which to read.

        If a channel's position is unknown, its followers read the table themselves; they are marked as behind.
        """
        positions = {}
        for channel_id in channels:
            channel = self._channels.get(channel_id)
            if channel is None:
                continue
            if channel.position is None:
                self.mark_behind(channel_id)
            else:
                positions[channel_id] = channel.position
        return positions

    def mark_behind(self, channel_id: UUID) -> None:
        """Make the followers of one channel read the table."""
        if channel := self._channels.get(channel_id):
            for subscription in channel.subscriptions:
                subscription.mark_behind()

    def mark_all_behind(self) -> None:
        """Make all followers read the table: notifications may have been lost."""
        for channel_id in self._channels:
            self.mark_behind(channel_id)

    def doubt_all(self) -> None:
        """Make all followers check the range of the table: the database may have lost the last events."""
        for channel in self._channels.values():
            channel.position = None
            for subscription in channel.subscriptions:
                subscription.doubtful = True
                subscription.mark_behind()

    def close(self) -> None:
        """End all streams of this process, including those that are opened from now on."""
        self._closed = True
        for channel in self._channels.values():
            for subscription in channel.subscriptions:
                subscription.close()
