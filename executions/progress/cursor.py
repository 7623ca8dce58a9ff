"""One client's way through the log of an execution or a scope: the table first, then live, each event exactly once."""

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

PAGE_SIZE = 100  # events read at once: what a slow client can make this process hold
RETRY_SECONDS = 1.0  # until the table is read again, after it could not be

logger = logging.getLogger(__name__)


class EventLog(Protocol):
    """The table of events, read: by execution, or by scope."""

    async def read(self, after: Mapping[UUID, int], *, limit: int) -> list[Message]:
        """Return the events of each channel that come after its number, in order, at most `limit` in all.

        Raises:
            DatabaseUnavailable: the database is away.
        """

    async def extent(self, channel_id: UUID, /) -> LogRange:
        """Return which events the channel has.

        Raises:
            DatabaseUnavailable: the database is away.
        """

    def reset(self, channel_id: UUID, /, *, last_known: int, oldest: int) -> Message:
        """Return what tells a client that has the events up to `last_known` that `oldest` is the next one."""


class SideChannel(Protocol):
    """What is shown beside a log, to those who have read all of it."""

    async def load(self, channel_id: UUID, /, number: int) -> None:
        """See what there is, unless that is known as it was at the event `number`, or later.

        Raises:
            DatabaseUnavailable: the database is away.
        """

    def unsent(self, channel_id: UUID, /, number: int, sent: Sent) -> list[Message]:
        """Return what a client that has the events up to `number` has not been sent; note in `sent` that it is."""


class KeepaliveTimer:
    """How long a client has been sent nothing."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.broken()

    def broken(self) -> None:
        """Note that something is sent."""
        self._ends_at = time.monotonic() + self._seconds

    def end(self) -> None:
        """Have the line kept alive now."""
        self._ends_at = time.monotonic()

    def left(self) -> float:
        """Return after how many seconds the line has to be kept alive; 0 for now."""
        return max(0.0, self._ends_at - time.monotonic())


class Cursor:
    """Follows one channel for one client; of `types`, when there are any, only these are handed out."""

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
        self._last_hash: int | None = None  # of that event's bytes, if it was handed out here
        self._types = types
        self._beside = side_channel if types is None or DELTA in types else None
        self._sent: Sent = {}
        self._uncertain = True  # whether the log goes on after the last event, and begins before it
        self._over = False
        self._log = log
        self._publisher = publisher

    async def follow(self, *, keepalive_seconds: float) -> AsyncGenerator[list[Message], None]:
        """Yield the events after the last one, in order, as many as are there at once.

        Where events were pruned, or the database has lost them, it yields what says so. An empty list means that
        nothing was handed out for `keepalive_seconds`. Ends after the last event of an execution that has ended, and
        when this process ends.
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
        """Return what the table has after the last event, and whether that is all: it ends when it has so many bytes.

        Raises:
            DatabaseUnavailable: the database is away.
        """
        subscription = Subscription(self._channel_id, size=1)
        messages = await self._look(subscription)
        while subscription.behind and sum(len(message.payload) for message in messages) < limit_bytes:
            messages += await self._read(subscription)
        return messages, not subscription.behind

    def _wants(self, message: Message) -> bool:
        return self._types is None or message.kind in self._types or message.kind == RESET

    async def _next(self, subscription: Subscription, seconds: float) -> list[Message]:
        """Return new messages; none when there is nothing to tell, after so many seconds at the latest."""
        if subscription.doubtful:
            messages = await self._look_back(subscription)
        elif self._uncertain:
            messages = await self._look(subscription)
        elif subscription.behind:
            messages = await self._read(subscription)
        elif await subscription.wait(seconds):
            messages = self._in_order(subscription)
        else:
            # Silence may also mean that a process died between its commit and its notification.
            messages = await self._look(subscription)
        if messages and messages[-1].kind == EventType.COMPLETE:
            self._uncertain = True
        return [*messages, *self._written(subscription)]

    def _written(self, subscription: Subscription) -> list[Message]:
        """Return what is shown beside the log and was not sent yet."""
        if self._beside is None or subscription.behind:
            return []
        return self._beside.unsent(self._channel_id, self._last, self._sent)

    async def _look(self, subscription: Subscription) -> list[Message]:
        """See how far the log goes; return what tells of events that are pruned, if these are the next, or lost."""
        extent = await self._log.extent(self._channel_id)
        self._uncertain = False
        messages = self._skip_to(extent.oldest) if extent.last >= self._last else [self._go_on_after(extent.last)]
        if extent.last > self._last:
            subscription.mark_behind()
        self._over = extent.ends_at(self._last)
        return messages

    async def _look_back(self, subscription: Subscription) -> list[Message]:
        """See whether the database still has what was handed out; return what tells if it has lost it.

        It may have another event of the same number by now.
        """
        messages = await self._look(subscription)
        if self._last_hash is not None and not messages:
            found = await self._log.read({self._channel_id: self._last - 1}, limit=1)
            mine = [each for each in found if each.number == self._last]  # none: it was pruned
            if mine and hash(mine[0].payload) != self._last_hash:
                extent = await self._log.extent(self._channel_id)
                messages = [self._go_on_after(extent.last)]
        subscription.doubtful = False
        return messages

    def _go_on_after(self, last: int) -> Message:
        """Go on after this event, the last that the database has; return what tells so."""
        asked, self._last, self._last_hash = self._last, last, None
        return self._log.reset(self._channel_id, last_known=asked, oldest=last + 1)

    def _skip_to(self, oldest: int) -> list[Message]:
        """Go on at this event; return what tells so, nothing when it is the next one anyway."""
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
            skipped = self._skip_to(message.number)  # what is not in the table any more was pruned
            if not any(each.kind == RESET for each in messages):  # to be told once is enough
                messages += skipped
            messages.append(message)
            self._last, self._last_hash = message.number, hash(message.payload)
        if len(found) == PAGE_SIZE:
            subscription.mark_behind()
        else:
            # Somebody who read at the same time may have seen more, and its hint may have come and gone.
            read_by_others = self._publisher.start_at(self._channel_id, self._last)
            self._uncertain = read_by_others > self._last and subscription.is_idle
            if self._beside is not None and not (found and found[-1].kind == EventType.COMPLETE):
                await self._look_beside(self._beside, subscription)
        return messages

    async def _look_beside(self, side_channel: SideChannel, subscription: Subscription) -> None:
        """See what there is beside the log. Where that fails, what was read of the log is handed out all the same."""
        try:
            await side_channel.load(self._channel_id, self._last)
        except DatabaseUnavailable:
            asyncio.get_running_loop().call_later(RETRY_SECONDS, subscription.mark_behind)  # to look again

    def _in_order(self, subscription: Subscription) -> list[Message]:
        """Return the queued messages that come next; a gap sends the cursor back to the table."""
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
