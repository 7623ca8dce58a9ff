"""The journal's connections trust each other, and no connection that is likely to be as silent as another."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from pytest_django import Settings

from common.database import connections
from common.database.connections import on_silence, report_silence
from common.database.parameters import connection_parameters
from executions.engine.domain.errors import DatabaseUnavailable
from executions.persistence.journal.connection import PipelineConnection
from orchestrator.embedded_postgres import instance
from tests.tcp_proxy import tcp_proxy
from tests.waiting import HANG_SECONDS

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
    on_silence(made.doubt)
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


async def test_what_was_sent_before_is_heard_of(line: PipelineConnection) -> None:
    first = await session_of(line)
    await line.send(SESSION, [])
    report_silence(time.monotonic())
    await line.done()  # over the connection that it was sent over
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
