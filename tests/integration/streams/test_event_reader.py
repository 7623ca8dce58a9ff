"""The event reader of a process: concurrent equal queries run once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from executions.db_threads import in_thread
from executions.engine.domain.errors import DatabaseUnavailable
from executions.progress.event_reader import POOL_SIZE, EventTable, Reader, Rows
from tests.factories.executions import outage
from tests.factories.streams import ASKED, STARTED, append, make_execution, make_user
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)

_NUMBER = "SELECT %(number)s::int"


class Counting:
    """Makes a number of a row, and counts how often."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, rows: Rows) -> int:
        self.made += 1
        [(number,)] = rows
        return int(number)


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    made = Reader()
    yield made
    await made.close()


@asynccontextmanager
async def all_connections_busy(reader: Reader) -> AsyncIterator[None]:
    """Use every connection of the pool; they are free some moments after the end."""
    sleeping = [asyncio.create_task(reader.rows("SELECT pg_sleep(0.5)", {})) for _ in range(POOL_SIZE)]
    await reader.rows("SELECT 1", {})  # waits for the first query: all have begun
    sleeping += [asyncio.create_task(reader.rows("SELECT pg_sleep(0.5)", {})) for _ in range(POOL_SIZE)]
    await asyncio.sleep(0)
    yield
    await asyncio.gather(*sleeping)


async def test_who_asks_before_a_query_begins_shares_its_answer(reader: Reader) -> None:
    made = Counting()
    async with asyncio.timeout(HANG_SECONDS), all_connections_busy(reader):
        asking = [
            asyncio.create_task(reader.single_flight(_NUMBER, {"number": 7}, key="number", made=made))
            for _ in range(20)
        ]
        other = asyncio.create_task(reader.single_flight(_NUMBER, {"number": 8}, key="another", made=made))
        assert await asyncio.gather(*asking) == [7] * 20
        assert await other == 8
        assert made.made == 2


async def test_who_comes_once_a_query_has_begun_is_given_a_newer_answer(reader: Reader) -> None:
    made = Counting()
    slowly = "SELECT 1 FROM pg_sleep(1)"
    async with asyncio.timeout(HANG_SECONDS):
        first = asyncio.create_task(reader.single_flight(slowly, {}, key="slow", made=made))
        while not await reader.rows("SELECT FROM pg_stat_activity WHERE query = %(query)s", {"query": slowly}):
            await asyncio.sleep(0.01)
        await asyncio.gather(first, reader.single_flight(slowly, {}, key="slow", made=made))
        assert made.made == 2


async def test_a_caller_that_leaves_does_not_cancel_the_query_of_others(reader: Reader) -> None:
    async with asyncio.timeout(HANG_SECONDS), all_connections_busy(reader):
        asking = [
            asyncio.create_task(reader.single_flight(_NUMBER, {"number": 7}, key="number", made=Counting()))
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        asking[0].cancel()
        assert await asyncio.gather(*asking[1:]) == [7, 7]


async def test_an_outage_is_told_to_all_who_wait_and_the_next_one_asks_anew(reader: Reader) -> None:
    made = Counting()
    with outage():
        asking = [reader.single_flight(_NUMBER, {"number": 7}, key="number", made=made) for _ in range(3)]
        answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(each) for each in answers] == [DatabaseUnavailable] * 3
    async with asyncio.timeout(HANG_SECONDS):
        assert await reader.single_flight(_NUMBER, {"number": 7}, key="number", made=made) == 7


async def test_an_event_that_is_committed_while_a_caller_waits_is_in_the_result(reader: Reader) -> None:
    execution_id = await in_thread(lambda: make_execution(make_user("alice")[0]))
    await in_thread(append, execution_id, STARTED)
    table = EventTable(reader)
    async with asyncio.timeout(HANG_SECONDS), all_connections_busy(reader):
        first = asyncio.create_task(table.read({execution_id: 0}, limit=10))
        await in_thread(append, execution_id, ASKED)
        second = asyncio.create_task(table.read({execution_id: 0}, limit=10))
        found, again = await asyncio.gather(first, second)
        assert [message.number for message in found] == [message.number for message in again] == [1, 2]
        found.clear()
        assert len(again) == 2


async def test_a_query_without_waiting_callers_ends_with_the_reader() -> None:
    reader = Reader()
    slowly = "SELECT 1 FROM pg_sleep(60)"
    waiting = asyncio.create_task(reader.single_flight(slowly, {}, key="slow", made=Counting()))
    async with asyncio.timeout(HANG_SECONDS):
        while not await reader.rows("SELECT FROM pg_stat_activity WHERE query = %(query)s", {"query": slowly}):
            await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait([waiting])
        await reader.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "stream-query"]
