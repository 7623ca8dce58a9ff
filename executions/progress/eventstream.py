"""What django-eventstream knows of executions: a channel each, stored in the event table, read by those with a role."""

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
    """Events are written by the journal alone, in the transaction of the change that they tell of."""


def channel_of(execution_id: UUID) -> str:
    """Return the name of the execution's channel."""
    return f"{PREFIX}{execution_id}"


def execution_of(channel: str) -> UUID | None:
    """Return the execution that a channel belongs to, None when there is no such channel."""
    try:
        return UUID(channel.removeprefix(PREFIX)) if channel.startswith(PREFIX) else None
    except ValueError:
        return None


class ExecutionEventStorage(StorageBase):
    """The event table, as django-eventstream reads it: an event's id is its sequence."""

    def append_event(self, channel: str, event_type: str, data: object) -> Event:
        """Refuse.

        Raises:
            ReadOnlyLog: always.
        """
        raise ReadOnlyLog(f"Nothing but the journal writes events of {channel}.")

    def get_events(self, channel: str, last_id: int, limit: int = 100) -> list[Event]:
        """Return the events after `last_id`, oldest first, at most `limit`."""
        execution_id = execution_of(channel)
        rows = _rows(EVENTS_AFTER, {"ids": [execution_id], "after": [int(last_id)], "limit": limit})
        events = [event_of(row) for row in rows]
        return [Event(channel, str(each.event_type), event_json(each), id=each.sequence) for each in events]

    def get_current_id(self, channel: str) -> int:
        """Return the number of the newest event, 0 when there is none."""
        return self._extent(channel).last

    def is_end(self, channel: str, last_id: int) -> bool:
        """Whether the execution has ended and `last_id` is its last event."""
        extent = self._extent(channel)
        return extent is not EMPTY_ENDED and extent.ends_at(last_id)

    def _extent(self, channel: str) -> LogRange:
        return extent_of(_rows(EXTENT, {"id": execution_of(channel)}))


class ExecutionChannelManager(ChannelManagerBase):
    """Whoever has a role in an execution's scope may follow it."""

    def get_channels_for_request(self, request: HttpRequest, view_kwargs: dict[str, object]) -> set[str]:
        """Return the channel of the execution that the URL names."""
        execution_id = view_kwargs.get("execution_id")
        return {channel_of(execution_id)} if isinstance(execution_id, UUID) else set()

    def can_read_channel(self, user: Person | None, channel: str) -> bool:
        """Whether there is such an execution and the user may see it; nobody (None) sees any."""
        execution_id = execution_of(channel)
        if user is None or execution_id is None:
            return False
        return executions.executions(user=user).filter(id=execution_id).exists()

    def is_channel_reliable(self, channel: str) -> bool:
        """Whether clients may go on from a last id: in executions; other channels are of others, and have no log."""
        return channel.startswith(PREFIX)


def _rows(query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchall()
