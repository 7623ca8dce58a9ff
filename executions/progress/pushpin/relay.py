"""Publishes the events of all feeds to Pushpin, each with its number and the number before.

Streams do not depend on it. If an event is late, repeated or missing, Pushpin detects it by the numbers, and asks the
web process for the missing events.
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
from executions.progress.hub import READ_LIMIT, parse_ids
from executions.progress.pushpin.requests import control_uri, item

REPEAT_SECONDS = 45.0  # events of this time are published again at the start; Pushpin remembers 60 s
REPEAT_EVENTS = 5_000  # maximum of repeated events per feed
ITEM_BYTES = 40_000  # larger events are not published; clients get them with the next event
REQUEST_ITEMS = 10  # items per request: ten of the maximum size, escaped, stay below Pushpin's limit of 1,000,000 bytes
PUBLISH_SECONDS = 10.0
RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)


class NotPublished(Exception):
    """Pushpin did not accept events."""


class Relay:
    """Publishes the events that notifications announce. Several relays may run: Pushpin ignores repeated events."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._table = FeedTable(self._reader)
        self._pushpin = httpx.AsyncClient(base_url=control_uri(), timeout=PUBLISH_SECONDS, trust_env=False)
        self._positions: dict[UUID, int] = {}  # number of the last event of each feed that Pushpin has
        self._notified: set[UUID] = set()  # executions with possibly new events
        self._must_repeat = True
        self._server_changes = server.changes
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Run until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._publish_all(), name="relay-publisher")
                await listen(CHANNEL, connected=self._connected, hear=self._hear)
        finally:
            await self._pushpin.aclose()
            await self._reader.close()

    async def _connected(self) -> None:
        if self._server_changes != server.changes:  # the database may have lost events that Pushpin has
            self._server_changes, self._positions = server.changes, {}
        self._must_repeat = True
        self._woken.set()

    async def _hear(self, payload: str, *, channel: str) -> None:
        """Record the notified executions. It must return quickly, because PostgreSQL queues notifications meanwhile."""
        self._notified.update(parse_ids(payload))
        self._woken.set()

    async def _publish_all(self) -> None:
        """Publish the events of notified executions; retry what could not be read or published."""
        scope_ids: set[UUID] = set()
        while True:
            if not scope_ids:
                await self._woken.wait()
            self._woken.clear()
            try:
                scope_ids |= await self._scopes_to_publish()
                await self._relay(scope_ids)
            except (DatabaseUnavailable, NotPublished) as error:
                logger.warning("Events cannot be relayed; trying again: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                scope_ids = set()

    async def _scopes_to_publish(self) -> set[UUID]:
        """Return the scopes with possibly new events: all recently active ones after a time without a listener."""
        if self._must_repeat:
            recent = await self._table.positions(seconds_ago=REPEAT_SECONDS, limit=REPEAT_EVENTS)
            self._positions = {**recent, **self._positions}
            self._must_repeat = False
            return set(recent)
        executions = set(self._notified)
        scope_ids = await self._table.of(executions)
        self._notified -= executions
        return set(scope_ids)

    async def _relay(self, scope_ids: Collection[UUID]) -> None:
        """Publish the new events of scopes' feeds.

        Raises:
            DatabaseUnavailable: the database cannot be reached. NotPublished: Pushpin did not accept some events.
        """
        while scope_ids:
            after = {scope_id: self._positions.get(scope_id, 0) for scope_id in scope_ids}
            messages = await self._table.read(after, limit=READ_LIMIT)
            await self._publish([item(message) for message in messages if len(message.payload) <= ITEM_BYTES])
            self._positions.update({message.channel: message.number for message in messages})
            if len(messages) < READ_LIMIT:
                return

    async def _publish(self, items: Sequence[object]) -> None:
        """Publish events in order.

        Raises:
            NotPublished: Pushpin did not accept some events.
        """
        for start in range(0, len(items), REQUEST_ITEMS):
            try:
                response = await self._pushpin.post("/publish/", json={"items": items[start : start + REQUEST_ITEMS]})
            except httpx.TransportError as error:
                raise NotPublished(f"Pushpin cannot be reached: {error!r}") from error
            if not response.is_success:
                raise NotPublished(f"Pushpin responded with {response.status_code}: {response.text:.200}")
