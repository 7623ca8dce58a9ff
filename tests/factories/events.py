"""Events and an event log in memory, for tests of streams."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from executions.engine.domain.errors import DatabaseUnavailable
from executions.engine.domain.events import EventType, ProgressEvent
from executions.progress.event_reader import LogRange
from executions.progress.sse import Message, encode, encode_reset

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


def make_event(
    execution_id: UUID, sequence: int, event_type: str = EventType.STEP_STARTED, **data: object
) -> ProgressEvent:
    """Return one event."""
    return ProgressEvent(
        execution_id=execution_id,
        sequence=sequence,
        event_type=event_type,
        step_id="discovery",
        data=dict(data),  # type: ignore[arg-type]
        timestamp=MOMENT,
    )


def make_message(execution_id: UUID, sequence: int) -> Message:
    """Return one event as clients get it."""
    return encode(make_event(execution_id, sequence))


class ListLog:
    """The event table, as a list."""

    def __init__(self) -> None:
        self.events: list[ProgressEvent] = []
        self.last = 0  # number of the newest event, where all are pruned
        self.ended = False
        self.away = False
        self.reads = 0
        self.looks = 0
        self.reading = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    def append(self, *events: ProgressEvent) -> None:
        """Store events without a notification."""
        self.events.extend(events)

    async def read(self, after: Mapping[UUID, int], *, limit: int) -> list[Message]:
        """Return what comes after; waits while the gate is closed, with what was there before."""
        self.reads += 1
        if self.away:
            raise DatabaseUnavailable("The database cannot be reached.")
        found = [
            event
            for event in self.events
            if event.execution_id is not None and event.sequence > after.get(event.execution_id, event.sequence)
        ]
        self.reading.set()
        await self.gate.wait()
        return [encode(event) for event in found[:limit]]

    async def extent(self, execution_id: UUID) -> LogRange:
        """Return how far the log goes."""
        self.looks += 1
        if self.away:
            raise DatabaseUnavailable("The database cannot be reached.")
        kept = [each.sequence for each in self.events if each.execution_id == execution_id]
        return LogRange(oldest=min(kept, default=self.last + 1), last=max(kept, default=self.last), ended=self.ended)

    def reset(self, execution_id: UUID, *, last_known: int, oldest: int) -> Message:
        """Return what tells that events are pruned."""
        return encode_reset(execution_id, last_known=last_known, oldest=oldest, execution_id=execution_id)

    def prune(self, before: int) -> None:
        """Remove the events before this one."""
        self.last = max(each.sequence for each in self.events)
        self.events = [each for each in self.events if each.sequence >= before]
