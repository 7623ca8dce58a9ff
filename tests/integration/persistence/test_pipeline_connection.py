"""The journal's connections are replaced when a response is late on any connection of the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import psycopg
import pytest
from pytest_django import Settings

from common.database import connections
from common.database.connections import on_silence, report_silence
from common.database.parameters import connection_parameters
from executions.engine.domain.errors import DatabaseUnavailable
from executions.persistence.journal.connection import PipelineConnection
from orchestrator.embedded_postgres import instance
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)

SESSION = "SELECT pg_backend_pid()"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The moments since when answers were waited for in vain."""
    made: list[float] = []
    monkeypatch.setattr(connections, "_on_silence", [made.append])
    return made


@pytest.fixture
async def line(told: list[float]) -> AsyncIterator[PipelineConnection]:
    made = PipelineConnection()
    on_silence(made.invalidate)
    yield made
    made.close()


async def session_of(line: PipelineConnection) -> int:
    [[(pid,)]] = await line.fetch_all([(SESSION, [])])
    return int(pid)


async def test_a_connection_that_was_there_when_another_said_nothing_is_made_anew(line: PipelineConnection) -> None:
    first = await session_of(line)
    assert await session_of(line) == first
    report_silence(time.monotonic())
    second = await session_of(line)
    assert second != first
    assert await session_of(line) == second  # one that was made since is trusted


async def test_a_statement_under_way_is_answered_over_the_connection_that_it_was_sent_over(
    line: PipelineConnection,
) -> None:
    first = await session_of(line)
    with psycopg.connect(**connection_parameters(), autocommit=True) as gate:
        gate.execute("SELECT pg_advisory_lock(1)")
        under_way = asyncio.ensure_future(line.fetch_all([("SELECT pg_backend_pid(), pg_advisory_xact_lock(1)", [])]))
        waits = "SELECT FROM pg_locks WHERE pid = %s AND locktype = 'advisory' AND NOT granted"
        async with asyncio.timeout(HANG_SECONDS):
            while gate.execute(waits, [first]).rowcount == 0:
                await asyncio.sleep(0.01)
        report_silence(time.monotonic())
    [[(pid, _)]] = await under_way
    assert pid == first
    assert await session_of(line) != first


async def test_its_own_silence_is_told_and_ends_with_a_new_connection(
    line: PipelineConnection, told: list[float], settings: Settings
) -> None:
    with tcp_proxy(instance.socket_dir(settings.DATA_DIR) / instance.SOCKET) as link:
        settings.DIRECT_DATABASE = {**connection_parameters(), "host": "127.0.0.1", "port": link.port}
        first = await session_of(line)
        settings.DATABASE_WAIT_SECONDS = 0.5
        link.silence = True
        asked_at = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await session_of(line)
        link.silence = False
        settings.DATABASE_WAIT_SECONDS = HANG_SECONDS
        assert [since >= asked_at for since in told] == [True]
        assert await session_of(line) != first
