"""Adapters for django-eventstream: one channel per execution, stored in the event table, readable by role."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import connection
from django.http import HttpRequest
from django_eventstream.channelmanager import ChannelManagerBase
from django_eventstream.event import Event
from django_eventstream.storage import StorageBase

from access.selectors import Person
from executions.engine.domain.events import event_json
from executions.progress.event_reader import EMPTY_ENDED, EVENTS_AFTER, EXTENT, LogRange, event_of, extent_of
from executions.selectors import executions

PREFIX = "execution-"


class ReadOnlyLog(RuntimeError):
    """Only the journal writes events, in the transaction of the change."""


def channel_of(execution_id: UUID) -> str:
    """Return the name of the execution's channel."""
    return f"{PREFIX}{execution_id}"


def execution_of(channel: str) -> UUID | None:
    """Return the execution of a channel, None if the name is not a channel of ours."""
    try:
        return UUID(channel.removeprefix(PREFIX)) if channel.startswith(PREFIX) else None
    except ValueError:
        return None


class ExecutionEventStorage(StorageBase):
    """The event table as storage of django-eventstream: the event id is the sequence number."""

    def append_event(self, channel: str, event_type: str, data: object) -> Event:
        """Reject writes.

        Raises:
            ReadOnlyLog: always.
        """
        raise ReadOnlyLog(f"Only the journal writes events of {channel}.")

    def get_events(self, channel: str, last_id: int, limit: int = 100) -> list[Event]:
        """Return the events after `last_id`, oldest first, at most `limit`."""
        execution_id = execution_of(channel)
        rows = _rows(EVENTS_AFTER, {"ids": [execution_id], "after": [int(last_id)], "limit": limit})
        events = [event_of(row) for row in rows]
        return [Event(channel, str(event.event_type), event_json(event), id=event.sequence) for event in events]

    def get_current_id(self, channel: str) -> int:
        """Return the number of the newest event, 0 if there is none."""
        return self._extent(channel).last

    def is_end(self, channel: str, last_id: int) -> bool:
        """Return whether the execution has ended and `last_id` is its last event."""
        extent = self._extent(channel)
        return extent is not EMPTY_ENDED and extent.ends_at(last_id)

    def _extent(self, channel: str) -> LogRange:
        return extent_of(_rows(EXTENT, {"id": execution_of(channel)}))


class ExecutionChannelManager(ChannelManagerBase):
    """Channel permissions: users with a role in an execution's scope may read its channel."""

    def get_channels_for_request(self, request: HttpRequest, view_kwargs: dict[str, object]) -> set[str]:
        """Return the channel of the execution in the URL."""
        execution_id = view_kwargs.get("execution_id")
        return {channel_of(execution_id)} if isinstance(execution_id, UUID) else set()

    def can_read_channel(self, user: Person | None, channel: str) -> bool:
        """Return whether the execution exists and the user may see it; False without a user."""
        execution_id = execution_of(channel)
        if user is None or execution_id is None:
            return False
        return executions.executions(user=user).filter(id=execution_id).exists()

    def is_channel_reliable(self, channel: str) -> bool:
        """Return whether clients can resume from a last id. Only channels of executions have a log."""
        return channel.startswith(PREFIX)


def _rows(query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchall()
