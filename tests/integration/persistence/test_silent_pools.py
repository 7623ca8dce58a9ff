"""asyncio pools: if one connection is silent, callers do not wait for each idle one."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool

from common.database.connections import report_silence
from common.database.parameters import connection_parameters
from executions.progress.event_reader import Reader
from executions.queue import job_manager
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


async def streams_pool() -> AsyncConnectionPool[Any]:
    return await Reader()._opened()


async def queues_pool() -> AsyncConnectionPool[Any]:
    made = job_manager._pool(kwargs=connection_parameters(), open=False)
    await made.open()
    return made


@pytest.mark.parametrize("pool_of", [streams_pool, queues_pool])
async def test_idle_connections_are_made_anew(pool_of: Any) -> None:
    pool = await pool_of()
    async with asyncio.timeout(HANG_SECONDS):
        held = [await pool.getconn() for _ in range(2)]
        for each in held:
            await pool.putconn(each)
        await asyncio.to_thread(report_silence, time.monotonic())  # as a thread of another pool does
        while not all(each.closed for each in held):
            await asyncio.sleep(0)
        async with pool.connection() as new:
            assert await (await new.execute("SELECT 1")).fetchone() == (1,)
        assert new not in held
        await pool.close()
