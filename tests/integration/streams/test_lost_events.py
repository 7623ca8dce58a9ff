"""A database that has lost delivered events: clients are informed, and get the new events."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from uuid import UUID

import pytest
from django.db import connection

from common.database.server import server
from executions.db_threads import in_thread
from executions.engine.domain.events import RESET, EventType
from executions.models import Execution, ExecutionEvent
from executions.progress.hub import StreamHub
from executions.progress.sse import Message
from tests.factories.events import make_event
from tests.factories.streams import ASKED, COMPLETE, SKIPPED, STARTED, append, make_execution, make_user
from tests.integration.streams.test_cursor import World, following, to_the_end
from tests.support.waiting import HANG_SECONDS


def told(message: Message) -> dict[str, int]:
    """Return what a reset says."""
    assert message.kind == RESET
    data: dict[str, int] = json.loads(message.payload.decode().split("data: ", 1)[1])["data"]
    return data


async def next_messages(batches: object) -> list[Message]:
    """Return the next messages that are there."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            found: list[Message] = await anext(batches)  # type: ignore[call-overload]
            if found:
                return found


async def test_a_log_that_is_shorter_than_what_was_sent_is_told_and_its_numbers_come_again() -> None:
    world = World()
    world.store(3)
    async with aclosing(world.follow()) as batches:
        assert await following(batches, 3) == [1, 2, 3]
        world.log.events.pop()
        world.stored = 2
        world.publisher.doubt_all()
        [reset] = await next_messages(batches)
        assert (told(reset), reset.number) == ({"oldest": 3, "asked": 3}, 2)
        world.store()
        world.publish(3)
        assert await following(batches, 1) == [3]


async def test_another_event_of_the_same_number_is_told() -> None:
    world = World()
    world.store(3)
    async with aclosing(world.follow()) as batches:
        assert await following(batches, 3) == [1, 2, 3]
        world.log.events[-1] = make_event(world.execution_id, 3, EventType.STEP_SKIPPED)
        world.publisher.doubt_all()
        [reset] = await next_messages(batches)
        assert told(reset) == {"oldest": 4, "asked": 3}


@pytest.mark.parametrize("pruned", [False, True])
async def test_nothing_is_told_where_nothing_was_lost(pruned: bool) -> None:
    world = World()
    world.store(3)
    async with aclosing(world.follow()) as batches:
        assert await following(batches, 3) == [1, 2, 3]
        world.store()
        if pruned:
            world.log.prune(4)
        world.publisher.doubt_all()
        world.end()
        assert await to_the_end(batches) == [4, 5]


@pytest.mark.django_db(transaction=True)
async def test_streams_learn_of_another_server_from_their_listener() -> None:
    streams = StreamHub()
    execution_id: UUID = await in_thread(lambda: make_execution(make_user("alice")[0]))
    await in_thread(append, execution_id, STARTED, ASKED, SKIPPED)
    try:
        async with aclosing(streams.follow(execution_id, after=0)) as batches:
            assert await following(batches, 3) == [1, 2, 3]
            await in_thread(lose, execution_id)
            server.record_probe(0.0, 0.0, asked_at=0.0)  # another one; the next look finds the old one again
            await in_thread(end_listeners)
            [reset] = await next_messages(batches)
            assert told(reset) == {"oldest": 3, "asked": 3}
            await in_thread(append, execution_id, COMPLETE)
            assert await to_the_end(batches) == [3]
    finally:
        await streams.close()


def lose(execution_id: UUID) -> None:
    """Remove the last event, as if it had never been."""
    ExecutionEvent.objects.filter(execution_id=execution_id, sequence=3).delete()
    Execution.objects.filter(id=execution_id).update(last_sequence=2)


def end_listeners() -> None:
    """Break the connections that listen."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'scriptorium-listener'"
        )
