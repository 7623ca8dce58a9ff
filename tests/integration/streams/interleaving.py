"""The streams of one process, with log, notifications, clients and time under control of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from executions.engine.domain.errors import DatabaseUnavailable
from executions.engine.domain.events import EventType
from executions.engine.runtime.cancellation import cancel_and_wait
from executions.progress.cursor import Cursor
from executions.progress.event_reader import LogRange, Reader
from executions.progress.hub import Listener
from executions.progress.inbox_watch import InboxWatch
from executions.progress.live_drafts import LiveDrafts, Sent
from executions.progress.publisher import ProgressPublisher
from executions.progress.sse import Message, encode, encode_in_feed, encode_reset
from tests.factories.events import make_event

T = TypeVar("T")
Move = tuple[tuple[Any, ...], int]  # what happens, and how many turns everybody has after it

SCOPE, FIRST, SECOND = (UUID(int=number) for number in (1, 2, 3))
EXECUTIONS = (FIRST, SECOND)
MOST_CLIENTS = 5


class Log:
    """Events in memory. A query is answered when the test says so: with what was there as it began, or as it ends."""

    def __init__(self, stored: Mapping[UUID, list[Message]]) -> None:
        self.stored = stored
        self.ended: set[UUID] = set()
        self.open_queries: list[asyncio.Future[bool]] = []
        self.prompt = False
        self.asked = 0

    async def read(self, after: Mapping[UUID, int], *, limit: int) -> list[Message]:
        """Return what comes after, channel by channel."""
        return await self._answer(
            lambda: [each for channel in sorted(after) for each in self.stored[channel][after[channel] :]][:limit]
        )

    async def extent(self, channel_id: UUID) -> LogRange:
        """Return how far a log goes."""
        return await self._answer(lambda: LogRange(1, len(self.stored[channel_id]), ended=channel_id in self.ended))

    async def among(self, scope_ids: Collection[UUID], execution_ids: Collection[UUID]) -> list[UUID]:
        """Return the one scope there is, where it is asked for."""
        return await self._answer(lambda: [each for each in scope_ids if each == SCOPE and execution_ids])

    def reset(self, channel_id: UUID, *, last_known: int, oldest: int) -> Message:
        """Return a message that must not appear, because nothing is pruned here."""
        return encode_reset(channel_id, last_known=last_known, oldest=oldest, execution_id=None)

    async def load(self, _channel_id: UUID, _number: int) -> None:
        """See what is beside a log."""
        await self._answer(lambda: None)

    def unsent(self, _channel_id: UUID, _number: int, _sent: Sent) -> list[Message]:
        """Return what is beside it: nothing."""
        return []

    async def _answer(self, load: Callable[[], T]) -> T:
        self.asked += 1
        begun = load()
        if self.prompt:
            return begun
        query: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.open_queries.append(query)
        try:
            anew = await query
        finally:
            self.open_queries.remove(query)
        return load() if anew else begun


@dataclass
class Client:
    """Takes what its cursor hands out; leaves and comes back with the last number that it has."""

    world: World
    channel: UUID
    joined_after: int
    numbers: list[int] = field(default_factory=list)
    gives_up_after: int | None = None  # so many more events, perhaps in the middle of a batch
    over: bool = False

    def __post_init__(self) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.task = asyncio.ensure_future(self._run())

    @property
    def last(self) -> int:
        return self.numbers[-1] if self.numbers else self.joined_after

    async def _run(self) -> None:
        while not self.over:
            async with aclosing(self.world.follow(self.channel, self.last)) as batches:
                self.over = await self._take(batches)

    async def _take(self, batches: AsyncGenerator[list[Message], None]) -> bool:
        async for messages in batches:
            for message in messages:
                self.numbers.append(message.number)
                if self.gives_up_after is not None:
                    self.gives_up_after -= 1
                    if self.gives_up_after <= 0:
                        self.gives_up_after = None
                        return False
            await self.reads.wait()
        return True

    async def cut(self) -> None:
        """Lose the connection, whatever it is doing, and come back."""
        await cancel_and_wait(self.task)
        if not self.over:
            self.task = asyncio.ensure_future(self._run())


class World:
    """Two executions of one scope, all that serves their streams in one process, and clients."""

    def __init__(self, *, queue_size: int, keepalive_seconds: float) -> None:
        self.publisher = ProgressPublisher(queue_size=queue_size)
        self.feeds = ProgressPublisher(queue_size=queue_size)
        self.stored: dict[UUID, list[Message]] = {SCOPE: [], FIRST: [], SECOND: []}
        self.log = Log(self.stored)
        self.clients: list[Client] = []
        self.unannounced: set[UUID] = set()
        self._keepalive_seconds = keepalive_seconds
        drafts = LiveDrafts(Reader(), self.publisher)
        self._listener = Listener(
            events=(self.log, self.publisher),
            feeds=(self.log, self.feeds),  # type: ignore[arg-type]
            drafts=drafts,
            inboxes=InboxWatch(),
        )
        self.on_text: asyncio.Queue[str | None] = asyncio.Queue()
        self._listening = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        while True:
            payload = await self.on_text.get()
            if payload is None:
                self.publisher.mark_all_behind()
                self.feeds.mark_all_behind()
            else:
                await self._listener.hear(payload)
            self.on_text.task_done()

    def follow(self, channel: UUID, after: int) -> AsyncGenerator[list[Message], None]:
        publisher = self.feeds if channel == SCOPE else self.publisher
        follower = Cursor(channel, after=after, log=self.log, publisher=publisher, side_channel=self.log)
        return follower.follow(keepalive_seconds=self._keepalive_seconds)

    # --- what can happen ------------------------------------------------------------------------------------------

    def join(self, channel: int, after: int) -> None:
        """Have a client come that has some of the events already."""
        chosen = (*EXECUTIONS, SCOPE)[channel]
        if len(self.clients) < MOST_CLIENTS:
            self.clients.append(Client(self, chosen, after % (len(self.stored[chosen]) + 1)))

    def commit(self, which: int, count: int) -> None:
        """Store events without a notification."""
        execution_id = EXECUTIONS[which]
        if execution_id not in self.log.ended:
            for _ in range(count):
                self._store(execution_id, EventType.STEP_STARTED)

    def complete(self) -> None:
        """Store the last event of each."""
        for execution_id in EXECUTIONS:
            self._store(execution_id, EventType.COMPLETE)
            self.log.ended.add(execution_id)

    def _store(self, execution_id: UUID, event_type: str) -> None:
        event = make_event(execution_id, len(self.stored[execution_id]) + 1, event_type)
        self.stored[execution_id].append(encode(event))
        feed = self.stored[SCOPE]
        feed.append(encode_in_feed(event, scope_id=SCOPE, number=len(feed) + 1))
        self.unannounced.add(execution_id)

    def announce(self) -> None:
        """Have a hint arrive, of all that was committed since the last one."""
        if self.unannounced:
            self.on_text.put_nowait(",".join(map(str, sorted(self.unannounced))))
            self.unannounced.clear()

    def lose(self) -> None:
        """Lose a hint."""
        self.unannounced.clear()

    def deafen(self) -> None:
        """Lose the listening connection, and what was on its way; then there is a new one."""
        while not self.on_text.empty():
            self.on_text.get_nowait()
            self.on_text.task_done()
        self.unannounced.clear()
        self.on_text.put_nowait(None)

    def answer(self, which: int, how: str) -> None:
        """Answer one of the open queries, the oldest first: as of its beginning, as of now, or not at all."""
        waiting = [query for query in self.log.open_queries if not query.done()]
        if waiting and how == "fail":
            waiting[which % len(waiting)].set_exception(DatabaseUnavailable("The database cannot be reached."))
        elif waiting:
            waiting[which % len(waiting)].set_result(how == "now")

    def answer_all(self, how: str) -> None:
        """Answer all the open queries."""
        for _ in range(len(self.log.open_queries)):
            self.answer(0, how)

    def slow_down(self, which: int) -> None:
        """Have a client not read, or read on."""
        if self.clients:
            reads = self.clients[which % len(self.clients)].reads
            reads.clear() if reads.is_set() else reads.set()

    def leave_after(self, which: int, count: int) -> None:
        """Have a client leave after some events more, perhaps in the middle of what it is sent."""
        if self.clients:
            self.clients[which % len(self.clients)].gives_up_after = count

    async def cut(self, which: int) -> None:
        """Cut a client's connection."""
        if self.clients:
            await self.clients[which % len(self.clients)].cut()

    async def breathe(self, turns: int) -> None:
        """Let everybody do a little."""
        for _ in range(turns):
            await asyncio.sleep(0)

    async def do(self, moves: Sequence[Move]) -> None:
        """Let things happen, in this order."""
        for (name, *arguments), turns in moves:
            happening = getattr(self, name)(*arguments)
            if happening is not None:
                await happening
            await self.breathe(turns)

    # --- the end --------------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Have every query answered, now and from now on, every hint heard, and every client read."""
        self.log.prompt = True
        for client in self.clients:
            client.reads.set()
        while self.log.open_queries or not self.on_text.empty():
            for query in self.log.open_queries:
                if not query.done():
                    query.set_result(False)
            await asyncio.sleep(0)
        await self.on_text.join()

    def missing(self) -> list[tuple[int, int, int]]:
        """Return which client lacks something: which, what it has, and what there is."""
        return [
            (number, client.last, len(self.stored[client.channel]))
            for number, client in enumerate(self.clients)
            if client.last < len(self.stored[client.channel])
        ]

    async def close(self) -> None:
        for task in (self._listening, *(client.task for client in self.clients)):
            await cancel_and_wait(task)
