"""Hands new events to everyone in this process who follows them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from executions.progress.sse import Message


class Subscription:
    """One follower's bounded queue. It starts `behind`: what is in the table already has to be read there."""

    def __init__(self, channel_id: UUID, *, size: int) -> None:
        self.channel_id = channel_id
        self.behind = True
        self.closed = False
        self.doubtful = False  # the database may have lost what the follower was sent
        self._size = size
        self._messages: list[Message] = []
        self._nudged = False  # something happened that the follower has not been told of
        self._waiter: asyncio.Future[bool] | None = None
        self._deadline = 0.0  # of the silence, by the loop's clock
        self._alarm: asyncio.TimerHandle | None = None

    def offer(self, message: Message) -> None:
        """Queue an event; a full queue is dropped instead, and its follower has to read the table."""
        if self.behind:
            return
        if len(self._messages) >= self._size:
            self.mark_behind()
            return
        self._messages.append(message)
        self.nudge()

    def mark_behind(self) -> None:
        """Drop the queue: events may be missing in it."""
        self._messages = []
        self.behind = True
        self.nudge()

    def catch_up(self) -> None:
        """Queue again from now on. Call it before the table is read, so that nothing falls between the two."""
        self.behind = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is queued, and nothing is known to be missing."""
        return not (self.behind or self._messages)

    def nudge(self) -> None:
        """Wake the follower: there is something for it, in the log or beside it."""
        self._nudged = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    def close(self) -> None:
        """Wake the follower to tell it that this process ends."""
        self.closed = True
        self.nudge()

    def take(self) -> list[Message]:
        """Return what is queued, and empty the queue."""
        messages, self._messages = self._messages, []
        return messages

    async def wait(self, seconds: float) -> bool:
        """Wait until there is something to do; False when nothing happened for so long."""
        happened = True
        if not (self._messages or self._nudged):
            loop = asyncio.get_running_loop()
            self._waiter, self._deadline = loop.create_future(), loop.time() + seconds
            if self._alarm is None or self._alarm.when() > self._deadline:
                self._set_alarm(loop)
            try:
                happened = await self._waiter or self._nudged
            finally:
                self._waiter = None
        self._nudged = False
        return happened

    def _set_alarm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = loop.call_at(self._deadline, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell the follower of the silence, or look again when its end has moved.

        One alarm serves many waits: made and cancelled for each, it costs more than the rest of a delivery.
        """
        self._alarm = None
        if self._waiter is not None and not self._waiter.done():
            if loop.time() < self._deadline:
                self._set_alarm(loop)
            else:
                self._waiter.set_result(False)


@dataclass(slots=True)
class _Channel:
    """The followers of one execution, or of the feed of one scope."""

    position: int | None = None  # events up to it were handed out or read; None: nobody has read the table yet
    subscriptions: set[Subscription] = field(default_factory=set)


class ProgressPublisher:
    """The followers of all executions, or of all feeds, in one process; belongs to one event loop."""

    def __init__(self, *, queue_size: int) -> None:
        self._queue_size = queue_size
        self._closed = False
        self._channels: dict[UUID, _Channel] = {}

    def subscribe(self, channel_id: UUID) -> Subscription:
        """Return a new subscription to the channel's events; a closed one when this process ends."""
        subscription = Subscription(channel_id, size=self._queue_size)
        if self._closed:
            subscription.close()
        self._channels.setdefault(channel_id, _Channel()).subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; ending it again changes nothing."""
        channel = self._channels.get(subscription.channel_id)
        if channel is None:
            return
        channel.subscriptions.discard(subscription)
        if not channel.subscriptions:
            del self._channels[subscription.channel_id]

    def publish(self, messages: Iterable[Message]) -> None:
        """Offer events, in the order given, to the followers of their channels."""
        for message in messages:
            channel = self._channels.get(message.channel)
            if channel is None:
                continue
            for subscription in channel.subscriptions:
                subscription.offer(message)
            channel.position = max(channel.position or 0, message.number)

    def start_at(self, channel_id: UUID, number: int) -> int:
        """Note that a first follower has read the table up to an event; later ones change nothing.

        Returns:
            The number up to which events were handed out or read by anybody here: what is after it will be published.
        """
        channel = self._channels.get(channel_id)
        if channel is None:
            return number
        if channel.position is None:
            channel.position = number
        return channel.position

    @property
    def followed(self) -> Collection[UUID]:
        """The channels that somebody follows here."""
        return self._channels.keys()

    def nudge(self, channel_id: UUID) -> None:
        """Wake the followers of a channel: there is something beside its log."""
        if channel := self._channels.get(channel_id):
            for subscription in channel.subscriptions:
                subscription.nudge()

    def unread(self, channels: Iterable[UUID]) -> dict[UUID, int]:
        """Return which of the channels are followed here, each with the number after which to read.

        Followers of one whose position is not known read the table themselves; they are marked as behind.
        """
        wanted = {}
        for channel_id in channels:
            channel = self._channels.get(channel_id)
            if channel is None:
                continue
            if channel.position is None:
                self.mark_behind(channel_id)
            else:
                wanted[channel_id] = channel.position
        return wanted

    def mark_behind(self, channel_id: UUID) -> None:
        """Have the followers of one channel read the table."""
        if channel := self._channels.get(channel_id):
            for subscription in channel.subscriptions:
                subscription.mark_behind()

    def mark_all_behind(self) -> None:
        """Have all followers read the table: notifications may have been lost."""
        for channel_id in self._channels:
            self.mark_behind(channel_id)

    def doubt_all(self) -> None:
        """Have all followers see how far the table goes: the database may have lost the end of it."""
        for channel in self._channels.values():
            channel.position = None
            for subscription in channel.subscriptions:
                subscription.doubtful = True
                subscription.mark_behind()

    def close(self) -> None:
        """End every stream of this process, and each that is opened from now on."""
        self._closed = True
        for channel in self._channels.values():
            for subscription in channel.subscriptions:
                subscription.close()
