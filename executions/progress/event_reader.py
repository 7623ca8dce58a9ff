"""Reads the table of events with a few connections outside of Django, for any number of streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from common.database.connections import AsyncConnection
from common.database.errors import is_transient
from common.database.parameters import connection_parameters
from common.database.pools import drain_when_silent
from common.database.server import probe_async
from executions.engine.domain.errors import DatabaseUnavailable
from executions.engine.domain.events import ProgressEvent
from executions.engine.domain.states import ENDED
from executions.engine.runtime.cancellation import cancel_and_wait
from executions.progress.sse import Message, encode, encode_in_feed, encode_reset

POOL_SIZE = 4
POOL_IDLE_SECONDS = 60.0  # then an unused connection is closed, except one
POOL_TIMEOUT_SECONDS = 5.0
POOL_RECONNECT_SECONDS = 2.0  # maximum backoff of the pool; then it starts anew

EVENTS_AFTER = """
    SELECT event.execution_id, event.sequence, event.event_type, event.step_id, event.data, event.timestamp
    FROM unnest(%(ids)s::uuid[], %(after)s::int[]) AS wanted (execution_id, after)
    JOIN executions_executionevent AS event
      ON event.execution_id = wanted.execution_id AND event.sequence > wanted.after
    ORDER BY event.execution_id, event.sequence
    LIMIT %(limit)s
"""
EXTENT = "SELECT oldest_sequence, last_sequence, status FROM executions_execution WHERE id = %(id)s"
_FEED_AFTER = """
    SELECT event.scope_id, event.scope_sequence,
      event.execution_id, event.sequence, event.event_type, event.step_id, event.data, event.timestamp
    FROM unnest(%(ids)s::uuid[], %(after)s::bigint[]) AS wanted (scope_id, after)
    JOIN executions_executionevent AS event
      ON event.scope_id = wanted.scope_id AND event.scope_sequence > wanted.after
    ORDER BY event.scope_id, event.scope_sequence
    LIMIT %(limit)s
"""
_FEED_EXTENT = """
    SELECT coalesce((SELECT min(scope_sequence) FROM executions_executionevent WHERE scope_id = %(id)s), last + 1), last
    FROM (SELECT coalesce((SELECT last FROM executions_feed WHERE scope_id = %(id)s), 0) AS last) AS feed
"""
_FEEDS_AGO = """
    SELECT feed.scope_id, CASE WHEN newest.timestamp > now() - make_interval(secs => %(seconds)s) THEN (
      SELECT min(scope_sequence) - 1 FROM executions_executionevent AS event
      WHERE event.scope_id = feed.scope_id AND event.scope_sequence > feed.last - %(most)s
        AND event.timestamp > now() - make_interval(secs => %(seconds)s)
    ) ELSE feed.last END
    FROM executions_feed AS feed
    LEFT JOIN executions_executionevent AS newest
      ON newest.scope_id = feed.scope_id AND newest.scope_sequence = feed.last
"""
#: An announced id is that of an execution, or of a scope: then only the scope's feed has a new event.
_ALL_SCOPES_OF = """
    SELECT scope_id FROM executions_execution WHERE id = ANY(%(executions)s::uuid[])
    UNION SELECT scope_id FROM executions_feed WHERE scope_id = ANY(%(executions)s::uuid[])
"""
_SCOPES_OF = f"""
    SELECT scope_id FROM ({_ALL_SCOPES_OF}) AS changed WHERE scope_id = ANY(%(scopes)s::uuid[])
"""  # noqa: S608 - no value is inserted

Rows = list[tuple[Any, ...]]
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class LogRange:
    """The range of events in a log, `oldest` to `last`; empty if `oldest` is greater than `last`."""

    oldest: int
    last: int
    ended: bool  # the execution has ended: no more events, unless it is retried

    def ends_at(self, sequence: int) -> bool:
        """Return whether no event follows this one."""
        return self.ended and sequence >= self.last


EMPTY_ENDED = LogRange(oldest=1, last=0, ended=True)  # of an execution that does not exist


def extent_of(rows: Sequence[Sequence[Any]]) -> LogRange:
    """Return the result of the query `EXTENT` for one execution."""
    return next((LogRange(oldest, last, status in ENDED) for oldest, last, status in rows), EMPTY_ENDED)


def event_of(row: Sequence[Any]) -> ProgressEvent:
    """Return a result row of the query `EVENTS_AFTER` as an event."""
    execution_id, sequence, event_type, step_id, data, timestamp = row
    return ProgressEvent(
        execution_id=execution_id,
        sequence=sequence,
        event_type=event_type,
        step_id=step_id,
        data=data,
        timestamp=timestamp,
    )


def _encoded(rows: Rows) -> list[Message]:
    return [encode(event_of(row)) for row in rows]


def _encoded_in_feed(rows: Rows) -> list[Message]:
    return [encode_in_feed(event_of(row), scope_id=scope_id, number=number) for scope_id, number, *row in rows]


def _feed_extent_of(rows: Rows) -> LogRange:
    [(oldest, last)] = rows
    return LogRange(oldest, last, ended=False)


class Reader:
    """A small connection pool, opened by the first query."""

    def __init__(self) -> None:
        self._pool: AsyncConnectionPool | None = None
        self._waiting: dict[Hashable, asyncio.Task[Any]] = {}  # queries that wait for a connection
        self._asking: set[asyncio.Task[Any]] = set()  # these, and the running queries

    async def rows(self, query: str, parameters: Mapping[str, object]) -> Rows:
        """Return the result rows of a query.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        return await self._fetch(query, parameters, begin=lambda: None)

    async def single_flight(
        self, query: str, parameters: Mapping[str, object], *, key: Hashable, made: Callable[[Rows], Found]
    ) -> Found:
        """Return the converted result of a query. Callers with the same `key` share a query that has not started yet.

        After a restart a thousand clients reconnect, and most have the same last event.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        asking = self._waiting.get(key)
        if asking is None:

            async def ask() -> Found:
                # Once the query has started, its result may be outdated for later callers.
                return made(await self._fetch(query, parameters, begin=lambda: self._waiting.pop(key, None)))

            asking = self._waiting[key] = asyncio.create_task(ask(), name="stream-query")
            self._asking.add(asking)
            asking.add_done_callback(partial(self._asked, key))
        found: Found = await asyncio.shield(asking)  # a cancelled caller does not cancel the query of the others
        return found

    async def messages(
        self, query: str, after: Mapping[UUID, int], *, limit: int, made: Callable[[Rows], Sequence[Message]]
    ) -> list[Message]:
        """Return the events of each scope after its number, in order, at most `limit` in all.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        parameters = {"ids": list(after), "after": list(after.values()), "limit": limit}
        key = (query, tuple(after.items()), limit)
        return list(await self.single_flight(query, parameters, key=key, made=made))

    async def extent(self, query: str, channel_id: UUID, *, made: Callable[[Rows], LogRange]) -> LogRange:
        """Return the range of a channel's events.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        return await self.single_flight(query, {"id": channel_id}, key=(query, channel_id), made=made)

    def _asked(self, key: Hashable, asking: asyncio.Task[Any]) -> None:
        self._asking.discard(asking)
        if self._waiting.get(key) is asking:
            del self._waiting[key]
        if not asking.cancelled():
            asking.exception()  # the callers get the exception; there may be none left

    async def _fetch(self, query: str, parameters: Mapping[str, object], *, begin: Callable[[], object]) -> Rows:
        try:
            async with (await self._opened()).connection() as connection:
                begin()
                return await (await connection.execute(query.encode(), parameters)).fetchall()
        except psycopg.Error as error:
            if is_transient(error):
                raise DatabaseUnavailable("The database cannot be used now.") from error
            raise

    async def close(self) -> None:
        """Cancel running queries and close the pool; a later query opens another one."""
        for asking in [*self._asking]:
            await cancel_and_wait(asking)
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def _opened(self) -> AsyncConnectionPool:
        if self._pool is None:
            self._pool = AsyncConnectionPool(
                kwargs={**connection_parameters(), "autocommit": True, "application_name": "scriptorium-stream"},
                min_size=1,
                max_size=POOL_SIZE,
                max_idle=POOL_IDLE_SECONDS,
                timeout=POOL_TIMEOUT_SECONDS,
                reconnect_timeout=POOL_RECONNECT_SECONDS,
                connection_class=AsyncConnection,
                configure=probe_async,
                check=AsyncConnectionPool.check_connection,
                open=False,
            )
            drain_when_silent(self._pool)
        await self._pool.open()  # no effect if it is open
        return self._pool


class EventTable:
    """The logs of executions."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def read(self, after: Mapping[UUID, int], *, limit: int) -> list[Message]:
        """Return the events of each execution after its sequence number, in order, at most `limit` in all.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        return await self._reader.messages(EVENTS_AFTER, after, limit=limit, made=_encoded)

    async def extent(self, execution_id: UUID) -> LogRange:
        """Return the range of the execution's events; `EMPTY_ENDED` if it does not exist.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        return await self._reader.extent(EXTENT, execution_id, made=extent_of)

    def reset(self, execution_id: UUID, *, last_known: int, oldest: int) -> Message:
        """Return a reset message for a client with the events up to `last_known`: the next event is `oldest`."""
        return encode_reset(execution_id, last_known=last_known, oldest=oldest, execution_id=execution_id)


class FeedTable:
    """The feeds of scopes."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def read(self, after: Mapping[UUID, int], *, limit: int) -> list[Message]:
        """Return the events of each scope after its number, in order, at most `limit` in all.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        return await self._reader.messages(_FEED_AFTER, after, limit=limit, made=_encoded_in_feed)

    async def extent(self, scope_id: UUID) -> LogRange:
        """Return the range of the scope's events. A feed never ends.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        return await self._reader.extent(_FEED_EXTENT, scope_id, made=_feed_extent_of)

    def reset(self, scope_id: UUID, *, last_known: int, oldest: int) -> Message:
        """Return a reset message for a client with the events up to `last_known`: the next event is `oldest`."""
        return encode_reset(scope_id, last_known=last_known, oldest=oldest, execution_id=None)

    async def among(self, scope_ids: Collection[UUID], execution_ids: Collection[UUID]) -> list[UUID]:
        """Return the given scopes that contain at least one of the executions.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        parameters = {"scopes": list(scope_ids), "executions": list(execution_ids)}
        return [scope_id for (scope_id,) in await self._reader.rows(_SCOPES_OF, parameters)]

    async def of(self, execution_ids: Collection[UUID]) -> list[UUID]:
        """Return the scopes that contain the executions.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        rows = await self._reader.rows(_ALL_SCOPES_OF, {"executions": list(execution_ids)})
        return [scope_id for (scope_id,) in rows]

    async def positions(self, *, seconds_ago: float, limit: int) -> dict[UUID, int]:
        """Return each feed's position some seconds ago, at most `limit` events before its end.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        rows = await self._reader.rows(_FEEDS_AGO, {"seconds": seconds_ago, "most": limit})
        return dict(rows)
