"""One LISTEN connection for all streams of this process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

from common.database.notifications import listen
from common.database.server import server
from executions.engine.domain.errors import DatabaseUnavailable
from executions.persistence.drafts import CHANNEL as DRAFTS
from executions.persistence.notifier import CHANNEL
from executions.progress.cursor import EventLog
from executions.progress.event_reader import FeedTable
from executions.progress.live_drafts import LiveDrafts
from executions.progress.publisher import ProgressPublisher

READ_LIMIT = 1_000  # events per query

logger = logging.getLogger(__name__)


def parse_ids(payload: str) -> list[UUID]:
    """Return the ids in a notification; invalid ones are skipped."""
    ids = []
    for text in payload.split(","):
        try:
            ids.append(UUID(text))
        except ValueError:
            logger.warning("A notification on %s has an invalid execution id: %.80r", CHANNEL, text)
    return ids


class Listener:
    """Reads the new events that notifications announce, once for all followers, and publishes them."""

    def __init__(
        self,
        *,
        events: tuple[EventLog, ProgressPublisher],
        feeds: tuple[FeedTable, ProgressPublisher],
        drafts: LiveDrafts,
    ) -> None:
        self._events = events
        self._feeds = feeds
        self._drafts = drafts
        self._server_changes = server.changes

    async def run(self) -> None:
        """Listen until cancelled."""
        await listen(CHANNEL, DRAFTS, connected=self._connected, hear=self.hear)

    async def _connected(self) -> None:
        # Events during the time without a listener are in the tables.
        self._drafts.forget()
        is_other, self._server_changes = server.changes != self._server_changes, server.changes
        for _, publisher in (self._events, self._feeds):
            if is_other:
                publisher.doubt_all()
            else:
                publisher.mark_all_behind()

    async def hear(self, payload: str, *, channel: str = CHANNEL) -> None:
        """Publish new events and drafts of the executions in a notification, or only drafts."""
        ids = parse_ids(payload)
        if channel == CHANNEL:
            await _publish(*self._events, ids)
            await self._publish_feeds(ids)
            ids = [execution_id for execution_id in ids if self._drafts.shows(execution_id)]
        try:
            if ids:
                await self._drafts.refresh(ids)
        except DatabaseUnavailable:
            logger.info("Drafts cannot be read now; the next notification repeats it.")

    async def _publish_feeds(self, execution_ids: Sequence[UUID]) -> None:
        table, publisher = self._feeds
        if not publisher.followed:
            return
        try:
            scopes = await table.among(publisher.followed, execution_ids)
        except DatabaseUnavailable:
            publisher.mark_all_behind()
        else:
            await _publish(table, publisher, scopes)


async def _publish(log: EventLog, publisher: ProgressPublisher, channels: Sequence[UUID]) -> None:
    """Publish the new events of channels."""
    try:
        while unread := publisher.unread(channels):
            messages = await log.read(unread, limit=READ_LIMIT)
            publisher.publish(messages)
            if len(messages) < READ_LIMIT:
                return
    except DatabaseUnavailable:
        # The followers read the table themselves, and retry until it can be read.
        for channel_id in channels:
            publisher.mark_behind(channel_id)
