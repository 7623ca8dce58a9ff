"""The table of events, read outside Django's connections: a handful of them serve any number of streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from executions.engine.errors import Unavailable
from executions.engine.events import ProgressEvent
from executions.engine.states import ENDED
from executions.progress.database import connection_parameters

POOL_SIZE = 4
POOL_TIMEOUT_SECONDS = 5.0

EVENTS_AFTER = """
    SELECT event.execution_id, event.sequence, event.event_type, event.step_id, event.data, event.timestamp
    FROM unnest(%(ids)s::uuid[], %(after)s::int[]) AS wanted (execution_id, after)
    JOIN executions_executionevent AS event
      ON event.execution_id = wanted.execution_id AND event.sequence > wanted.after
    ORDER BY event.execution_id, event.sequence
    LIMIT %(limit)s
"""
EXTENT = "SELECT oldest_sequence, last_sequence, status FROM executions_execution WHERE id = %(id)s"


@dataclass(frozen=True, slots=True)
class Extent:
    """Which events a log has: `oldest` to `last`, none of them when `oldest` is beyond `last`."""

    oldest: int
    last: int
    ended: bool  # the execution has ended: no more events, until a retry

    def ends_at(self, sequence: int) -> bool:
        """Whether nothing comes after this event."""
        return self.ended and sequence >= self.last


GONE = Extent(oldest=1, last=0, ended=True)  # of an execution that is not there


def extent_of(rows: Sequence[Sequence[Any]]) -> Extent:
    """Return what `EXTENT` gave for one execution."""
    return next((Extent(oldest, last, status in ENDED) for oldest, last, status in rows), GONE)


def event_of(row: Sequence[Any]) -> ProgressEvent:
    """Return a row that `EVENTS_AFTER` gave as an event."""
    execution_id, sequence, event_type, step_id, data, timestamp = row
    return ProgressEvent(
        execution_id=execution_id,
        sequence=sequence,
        event_type=event_type,
        step_id=step_id,
        data=data,
        timestamp=timestamp,
    )


class EventTable:
    """Reads the log through a small pool that opens with the first read."""

    def __init__(self) -> None:
        self._pool: AsyncConnectionPool | None = None

    async def read(self, after: Mapping[UUID, int], *, limit: int) -> list[ProgressEvent]:
        """Return the events of each execution that come after its sequence, in order, at most `limit` in all.

        Raises:
            Unavailable: the database is away.
        """
        parameters = {"ids": list(after), "after": list(after.values()), "limit": limit}
        return [event_of(row) for row in await self._rows(EVENTS_AFTER, parameters)]

    async def extent(self, execution_id: UUID) -> Extent:
        """Return which events the execution has; `GONE` when it is not there.

        Raises:
            Unavailable: the database is away.
        """
        return extent_of(await self._rows(EXTENT, {"id": execution_id}))

    async def close(self) -> None:
        """Close the pool; a later read opens another."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def _rows(self, query: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        try:
            async with (await self._opened()).connection() as connection:
                return await (await connection.execute(query.encode(), parameters)).fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Unavailable("The database cannot be reached.") from error

    async def _opened(self) -> AsyncConnectionPool:
        if self._pool is None:
            self._pool = AsyncConnectionPool(
                kwargs={**connection_parameters(), "autocommit": True, "application_name": "scriptorium-stream"},
                min_size=1,
                max_size=POOL_SIZE,
                timeout=POOL_TIMEOUT_SECONDS,
                check=AsyncConnectionPool.check_connection,
                open=False,
            )
        await self._pool.open()  # nothing when it is open
        return self._pool
