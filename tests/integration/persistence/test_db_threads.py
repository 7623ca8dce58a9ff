"""Database work of async code: its connections, and errors during an outage."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, connections, transaction
from psycopg_pool import PoolTimeout

from access.user import User
from executions import models
from executions.db_threads import in_thread
from executions.engine.domain.errors import DatabaseUnavailable
from executions.queue.jobs import enqueue_advance
from orchestrator.pooled_postgresql.base import DatabaseWrapper
from tests.factories.executions import outage
from tests.support.waiting import HANG_SECONDS


def _lose_the_connection() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def _enqueue_over_a_lost_connection() -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
        connection.connection.close()
        enqueue_advance(uuid4())


async def test_a_lost_connection_is_told_as_unavailable_and_the_next_call_has_another() -> None:
    with pytest.raises(DatabaseUnavailable):
        await in_thread(_lose_the_connection)
    assert await in_thread(models.Execution.objects.count) == 0


async def test_a_connection_lost_before_a_job_is_enqueued_is_told_as_unavailable() -> None:
    with pytest.raises(DatabaseUnavailable):
        await in_thread(_enqueue_over_a_lost_connection)


async def test_a_database_that_is_away_is_told_as_unavailable() -> None:
    with outage(), pytest.raises(DatabaseUnavailable):
        await in_thread(models.Execution.objects.count)


async def test_requests_that_hold_all_their_connections_keep_no_background_work_waiting() -> None:
    await asyncio.to_thread(connections.close_all)
    pool = cast(DatabaseWrapper, connection).pool_of(background=False)
    assert pool is not None
    pool.open()
    held: list[Any] = []
    try:
        with pytest.raises(PoolTimeout):
            while len(held) < 1000:
                held.append(await asyncio.to_thread(pool.getconn, 0.5))
        assert await asyncio.wait_for(in_thread(models.Execution.objects.count), HANG_SECONDS) == 0
    finally:
        for each in held:
            pool.putconn(each)


async def test_what_is_no_outage_is_not_told_as_one(ann: User) -> None:
    with pytest.raises(IntegrityError):
        await in_thread(lambda: User.objects.create(username=ann.username))


async def test_calls_leave_no_connection_behind() -> None:
    def in_use() -> int:
        pool = cast(DatabaseWrapper, connection).pool_of(background=True)
        assert pool is not None
        stats = pool.get_stats()
        return int(stats["pool_size"]) - int(stats["pool_available"])

    await in_thread(models.Execution.objects.count)
    calls = [in_thread(models.Execution.objects.count) for _ in range(5 * settings.DATABASE_THREADS)]
    assert await asyncio.gather(*calls) == [0] * len(calls)
    async with asyncio.timeout(HANG_SECONDS):
        while in_use():  # the pool adds new ones to itself in the background
            await asyncio.sleep(0.01)
