"""Hands the events of all feeds to Pushpin, each with its number and the one before it.

Nothing rests on it: when it is late, or publishes an event twice, or not at all, Pushpin knows by the numbers, and asks
the web process for what a client lacks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from uuid import UUID

import httpx

from common.database.notifications import listen
from common.database.server import server
from executions.engine.domain.errors import DatabaseUnavailable
from executions.persistence.notifier import CHANNEL
from executions.progress.event_reader import FeedTable, Reader
from executions.progress.listener import READ_LIMIT, parse_ids
from executions.progress.pushpin.requests import control_uri, item

REPEAT_SECONDS = 45.0  # what is published again at the start; Pushpin knows for 60 what it has had
REPEAT_EVENTS = 5_000  # of one feed, at most
ITEM_BYTES = 40_000  # what is larger is left for clients to be given with the next event
REQUEST_ITEMS = (
    10  # published at once: the largest of them, escaped, are less than the 1,000,000 bytes that Pushpin takes
)
PUBLISH_SECONDS = 10.0
RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)


class NotPublished(Exception):
    """Pushpin did not take events."""


class Relay:
    """Publishes what notifications hint at. More than one may run beside each other: Pushpin takes an event once."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._table = FeedTable(self._reader)
        self._pushpin = httpx.AsyncClient(base_url=control_uri(), timeout=PUBLISH_SECONDS, trust_env=False)
        self._positions: dict[UUID, int] = {}  # of the last event of each feed that Pushpin has
        self._named: set[UUID] = set()  # executions in whose feeds there may be more
        self._look_back = True
        self._server_changes = server.changes
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Relay until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._publish_all(), name="relay-publisher")
                await listen(CHANNEL, connected=self._connected, hear=self._hear)
        finally:
            await self._pushpin.aclose()
            await self._reader.close()

    async def _connected(self) -> None:
        if self._server_changes != server.changes:  # the database may have lost what Pushpin has
            self._server_changes, self._positions = server.changes, {}
        self._look_back = True
        self._woken.set()

    async def _hear(self, payload: str, *, channel: str) -> None:
        """Note what there is to publish: whoever listens has to go on, or PostgreSQL keeps notifications for it."""
        self._named.update(parse_ids(payload))
        self._woken.set()

    async def _publish_all(self) -> None:
        """Publish what is noted, and again what the table or Pushpin did not let through."""
        scope_ids: set[UUID] = set()
        while True:
            if not scope_ids:
                await self._woken.wait()
            self._woken.clear()
            try:
                scope_ids |= await self._to_look_at()
                await self._relay(scope_ids)
            except (DatabaseUnavailable, NotPublished) as error:
                logger.warning("Events cannot be relayed; trying again: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                scope_ids = set()

    async def _to_look_at(self) -> set[UUID]:
        """Return the scopes in which something may have happened: all, if nobody listened since."""
        if self._look_back:
            recent = await self._table.positions(seconds_ago=REPEAT_SECONDS, most=REPEAT_EVENTS)
            self._positions = {**recent, **self._positions}
            self._look_back = False
            return set(recent)
        executions = set(self._named)
        found = await self._table.of(executions)
        self._named -= executions
        return set(found)

    async def _relay(self, scope_ids: Collection[UUID]) -> None:
        """Publish what is new in the feeds of scopes.

        Raises:
            Unavailable: the database is away. NotPublished: Pushpin did not take some of it.
        """
        while scope_ids:
            after = {each: self._positions.get(each, 0) for each in scope_ids}
            messages = await self._table.read(after, limit=READ_LIMIT)
            await self._publish([item(each) for each in messages if len(each.payload) <= ITEM_BYTES])
            self._positions.update({message.channel: message.number for message in messages})
            if len(messages) < READ_LIMIT:
                return

    async def _publish(self, items: Sequence[object]) -> None:
        """Publish events, in order.

        Raises:
            NotPublished: Pushpin did not take some of them.
        """
        for start in range(0, len(items), REQUEST_ITEMS):
            try:
                response = await self._pushpin.post("/publish/", json={"items": items[start : start + REQUEST_ITEMS]})
            except httpx.TransportError as error:
                raise NotPublished(f"Pushpin cannot be reached: {error!r}") from error
            if not response.is_success:
                raise NotPublished(f"Pushpin answers {response.status_code}: {response.text:.200}")
