"""A client's position in the log of an execution or scope: first the table, then live, each event exactly once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Collection, Mapping
from typing import Protocol
from uuid import UUID

from executions.engine.domain.errors import DatabaseUnavailable
from executions.engine.domain.events import DELTA, RESET, EventType
from executions.progress.event_reader import LogRange
from executions.progress.live_drafts import Sent
from executions.progress.publisher import ProgressPublisher, Subscription
from executions.progress.sse import Message

PAGE_SIZE = 100  # events per query; limits the memory that a slow client uses
RETRY_SECONDS = 1.0  # delay before reading the table again after an error

logger = logging.getLogger(__name__)


class EventLog(Protocol):
    """Read access to a table of events, by execution or by scope."""

    async def read(self, after: Mapping[UUID, int], *, limit: int) -> list[Message]:
        """Return the events of each channel after its number, in order, at most `limit` in all.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """

    async def extent(self, channel_id: UUID, /) -> LogRange:
        """Return the range of the channel's events.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """

    def reset(self, channel_id: UUID, /, *, last_known: int, oldest: int) -> Message:
        """Return a reset message for a client with the events up to `last_known`: the next event is `oldest`."""


class SideChannel(Protocol):
    """Messages beside a log, for clients that have read all of the log."""

    async def load(self, channel_id: UUID, /, number: int) -> None:
        """Read the messages, unless they were read at event `number` or later.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """

    def unsent(self, channel_id: UUID, /, number: int, sent: Sent) -> list[Message]:
        """Return the unsent messages for a client with the events up to `number`, and add them to `sent`."""


class KeepaliveTimer:
    """Time until a silent stream needs a keepalive."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.broken()

    def broken(self) -> None:
        """Restart the timer, because something is sent."""
        self._ends_at = time.monotonic() + self._seconds

    def end(self) -> None:
        """Let the timer expire now."""
        self._ends_at = time.monotonic()

    def left(self) -> float:
        """Return the seconds until a keepalive is due; 0: now."""
        return max(0.0, self._ends_at - time.monotonic())


class Cursor:
    """Follows one channel for one client; with `types`, only events of these types."""

    def __init__(
        self,
        channel_id: UUID,
        *,
        after: int,
        log: EventLog,
        publisher: ProgressPublisher,
        side_channel: SideChannel | None = None,
        types: Collection[str] | None = None,
    ) -> None:
        self._channel_id = channel_id
        self._last = after
        self._last_hash: int | None = None  # hash of that event's bytes, if this cursor has sent it
        self._types = types
        self._side_channel = side_channel if types is None or DELTA in types else None
        self._sent: Sent = {}
        self._uncertain = True  # whether events follow the last one, or are missing before it
        self._over = False
        self._log = log
        self._publisher = publisher

    async def follow(self, *, keepalive_seconds: float) -> AsyncGenerator[list[Message], None]:
        """Yield the events after the last one, in order, in batches of those that are ready.

        If events were pruned, or the database has lost them, a reset message is among them. An empty batch means that
        nothing was sent for `keepalive_seconds`. The generator ends after the last event of an ended execution, and
        when this process shuts down.
        """
        subscription = self._publisher.subscribe(self._channel_id)
        silence = KeepaliveTimer(keepalive_seconds)
        try:
            while not (subscription.closed or self._over):
                try:
                    messages = await self._next(subscription, silence.left())
                except DatabaseUnavailable:
                    logger.warning("The events of %s cannot be read; trying again.", self._channel_id)
                    subscription.mark_behind()
                    await asyncio.sleep(RETRY_SECONDS)
                    silence.end()
                    messages = []
                wanted = [message for message in messages if self._wants(message)]
                if wanted or not silence.left():
                    silence.broken()
                    yield wanted
        finally:
            self._publisher.unsubscribe(subscription)

    async def page(self, *, limit_bytes: int) -> tuple[list[Message], bool]:
        """Return the stored events after the last one, up to about `limit_bytes`, and whether these are all.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        subscription = Subscription(self._channel_id, size=1)
        messages = await self._check_range(subscription)
        while subscription.behind and sum(len(message.payload) for message in messages) < limit_bytes:
            messages += await self._read(subscription)
        return messages, not subscription.behind

    def _wants(self, message: Message) -> bool:
        return self._types is None or message.kind in self._types or message.kind == RESET

    async def _next(self, subscription: Subscription, seconds: float) -> list[Message]:
        """Return new messages; an empty list after `seconds` without any."""
        if subscription.doubtful:
            messages = await self._check_last_sent(subscription)
        elif self._uncertain:
            messages = await self._check_range(subscription)
        elif subscription.behind:
            messages = await self._read(subscription)
        elif await subscription.wait(seconds):
            messages = self._in_order(subscription)
        else:
            # A process may also have died between its commit and its notification.
            messages = await self._check_range(subscription)
        if messages and messages[-1].kind == EventType.COMPLETE:
            self._uncertain = True
        return [*messages, *self._written(subscription)]

    def _written(self, subscription: Subscription) -> list[Message]:
        """Return the unsent messages of the side channel."""
        if self._side_channel is None or subscription.behind:
            return []
        return self._side_channel.unsent(self._channel_id, self._last, self._sent)

    async def _check_range(self, subscription: Subscription) -> list[Message]:
        """Read the range of the log; return a reset message if the next events were pruned or the last ones lost."""
        extent = await self._log.extent(self._channel_id)
        self._uncertain = False
        messages = self._skip_to(extent.oldest) if extent.last >= self._last else [self._continue_after(extent.last)]
        if extent.last > self._last:
            subscription.mark_behind()
        self._over = extent.ends_at(self._last)
        return messages

    async def _check_last_sent(self, subscription: Subscription) -> list[Message]:
        """Check whether the database still has the last sent event; return a reset message if not.

        After a failover it may have another event with the same number.
        """
        messages = await self._check_range(subscription)
        if self._last_hash is not None and not messages:
            found = await self._log.read({self._channel_id: self._last - 1}, limit=1)
            mine = [each for each in found if each.number == self._last]  # empty: it was pruned
            if mine and hash(mine[0].payload) != self._last_hash:
                extent = await self._log.extent(self._channel_id)
                messages = [self._continue_after(extent.last)]
        subscription.doubtful = False
        return messages

    def _continue_after(self, last: int) -> Message:
        """Continue after `last`, the last event that the database has; return the reset message."""
        asked, self._last, self._last_hash = self._last, last, None
        return self._log.reset(self._channel_id, last_known=asked, oldest=last + 1)

    def _skip_to(self, oldest: int) -> list[Message]:
        """Continue with event `oldest`; return a reset message unless it is the next event anyway."""
        asked = self._last
        if oldest <= asked + 1:
            return []
        self._last, self._last_hash = oldest - 1, None
        return [self._log.reset(self._channel_id, last_known=asked, oldest=oldest)]

    async def _read(self, subscription: Subscription) -> list[Message]:
        subscription.catch_up()
        found = await self._log.read({self._channel_id: self._last}, limit=PAGE_SIZE)
        messages: list[Message] = []
        for message in found:
            skipped = self._skip_to(message.number)  # events missing in the table were pruned
            if not any(each.kind == RESET for each in messages):  # one reset message is enough
                messages += skipped
            messages.append(message)
            self._last, self._last_hash = message.number, hash(message.payload)
        if len(found) == PAGE_SIZE:
            subscription.mark_behind()
        else:
            # Another follower's concurrent query may have seen later events, and their notification may have passed
            # already.
            read_by_others = self._publisher.start_at(self._channel_id, self._last)
            self._uncertain = read_by_others > self._last and subscription.is_idle
            if self._side_channel is not None and not (found and found[-1].kind == EventType.COMPLETE):
                await self._read_side_channel(self._side_channel, subscription)
        return messages

    async def _read_side_channel(self, side_channel: SideChannel, subscription: Subscription) -> None:
        """Read the side channel. If this fails, the events that were read are still returned."""
        try:
            await side_channel.load(self._channel_id, self._last)
        except DatabaseUnavailable:
            asyncio.get_running_loop().call_later(RETRY_SECONDS, subscription.mark_behind)  # to try again

    def _in_order(self, subscription: Subscription) -> list[Message]:
        """Return the queued messages that follow directly; after a gap, the cursor reads the table again."""
        messages = []
        for message in subscription.take():
            if message.number <= self._last:
                continue
            if message.number > self._last + 1:
                subscription.mark_behind()
                break
            messages.append(message)
            self._last, self._last_hash = message.number, hash(message.payload)
        return messages
