"""A cursor delivers each event exactly once and in order, despite lost notifications and outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executions.engine.domain.events import EventType
from executions.progress import cursor
from executions.progress.cursor import PAGE_SIZE, Cursor
from executions.progress.publisher import ProgressPublisher
from executions.progress.sse import Message, encode
from tests.factories.events import ListLog, make_event
from tests.support.fuzzing import examples
from tests.support.waiting import HANG_SECONDS, Stopwatch

QUIET = 60.0


class World:
    """One execution, its log, and a publisher."""

    def __init__(self, *, queue_size: int = 100) -> None:
        self.execution_id: UUID = uuid4()
        self.log = ListLog()
        self.publisher = ProgressPublisher(queue_size=queue_size)
        self.stored = 0

    def store(self, count: int = 1, event_type: str = EventType.STEP_STARTED) -> None:
        """Commit events and lose their notification."""
        for _ in range(count):
            self.stored += 1
            self.log.append(make_event(self.execution_id, self.stored, event_type))

    def end(self) -> None:
        """Commit the last event of all."""
        self.stored += 1
        self.log.append(make_event(self.execution_id, self.stored, EventType.COMPLETE))
        self.log.ended = True

    def publish(self, *sequences: int) -> None:
        """Publish stored events."""
        self.publisher.publish(encode(each) for each in self.log.events if each.sequence in sequences)

    def follow(
        self, *, after: int = 0, keepalive: float = QUIET, types: set[str] | None = None
    ) -> AsyncGenerator[list[Message], None]:
        follower = Cursor(self.execution_id, after=after, log=self.log, publisher=self.publisher, types=types)
        return follower.follow(keepalive_seconds=keepalive)


async def following(batches: AsyncGenerator[list[Message], None], count: int) -> list[int]:
    """Return the numbers of the next `count` events."""
    sequences: list[int] = []
    async with asyncio.timeout(HANG_SECONDS):
        while len(sequences) < count:
            sequences += [message.number for message in await anext(batches)]
    return sequences


async def to_the_end(batches: AsyncGenerator[list[Message], None]) -> list[int]:
    async with asyncio.timeout(HANG_SECONDS):
        return [message.number async for messages in batches for message in messages]


async def test_what_is_stored_comes_first_and_then_what_is_published() -> None:
    world = World()
    world.store(2)
    async with aclosing(world.follow()) as batches:
        assert await following(batches, 2) == [1, 2]
        world.store(2)
        world.publish(3, 4)
        assert await following(batches, 2) == [3, 4]


async def test_it_goes_on_after_the_last_event_that_the_client_has() -> None:
    world = World()
    world.store(5)
    async with aclosing(world.follow(after=3)) as batches:
        assert await following(batches, 2) == [4, 5]


async def test_a_finished_execution_is_replayed_and_ends() -> None:
    world = World()
    world.store(3)
    world.end()
    assert await to_the_end(world.follow()) == [1, 2, 3, 4]


async def test_a_log_longer_than_a_page_comes_whole() -> None:
    world = World()
    world.store(2 * PAGE_SIZE + 3)
    world.end()
    assert await to_the_end(world.follow()) == list(range(1, 2 * PAGE_SIZE + 5))


async def test_a_stream_goes_on_after_a_complete_that_is_not_the_end() -> None:
    world = World()
    world.end()
    world.log.ended = False
    async with aclosing(world.follow()) as batches:
        assert await following(batches, 1) == [1]
        world.store()
        world.publish(2)
        assert await following(batches, 1) == [2]


async def test_an_event_published_while_the_table_is_read_is_delivered_once() -> None:
    world = World()
    world.store(1)
    world.log.gate.clear()
    async with aclosing(world.follow()) as batches:
        reading = asyncio.create_task(following(batches, 2))
        await world.log.reading.wait()
        world.publisher.start_at(world.execution_id, 0)
        world.store(1)
        world.publish(1, 2)
        world.log.gate.set()
        assert await reading == [1, 2]


async def test_an_event_published_twice_is_delivered_once() -> None:
    world = World()
    async with aclosing(world.follow(keepalive=0.05)) as batches:
        assert await anext(batches) == []
        world.store(2)
        world.publish(1, 1, 2, 1, 2)
        assert await following(batches, 2) == [1, 2]
        world.store(1)
        world.publish(2, 3)
        assert await following(batches, 1) == [3]


async def test_a_gap_is_filled_from_the_table() -> None:
    world = World()
    world.store(1)
    async with aclosing(world.follow()) as batches:
        assert await following(batches, 1) == [1]
        world.store(4)
        world.publish(2, 5)
        assert await following(batches, 4) == [2, 3, 4, 5]


async def test_an_overflowing_queue_loses_nothing() -> None:
    world = World(queue_size=3)
    world.store(1)
    async with aclosing(world.follow()) as batches:
        assert await following(batches, 1) == [1]
        world.store(20)
        world.publish(*range(2, 22))
        assert await following(batches, 20) == list(range(2, 22))


async def test_an_event_whose_notification_is_lost_comes_with_the_next_silence() -> None:
    world = World()
    world.store(1)
    async with aclosing(world.follow(keepalive=0.05)) as batches:
        assert await following(batches, 1) == [1]
        world.store(1)
        assert await following(batches, 1) == [2]


async def test_a_silence_is_told_with_an_empty_list() -> None:
    world = World()
    async with aclosing(world.follow(keepalive=0.01)) as batches, asyncio.timeout(HANG_SECONDS):
        assert await anext(batches) == []
        assert await anext(batches) == []


async def test_all_is_read_again_when_the_listener_was_deaf() -> None:
    world = World()
    world.store(1)
    async with aclosing(world.follow()) as batches:
        assert await following(batches, 1) == [1]
        world.store(2)
        world.publisher.mark_all_behind()
        assert await following(batches, 2) == [2, 3]


async def test_a_stream_outlives_an_outage_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursor, "RETRY_SECONDS", 0.01)
    world = World()
    world.store(1)
    async with aclosing(world.follow()) as batches, asyncio.timeout(HANG_SECONDS):
        assert await following(batches, 1) == [1]
        world.log.away = True
        world.publisher.mark_all_behind()
        assert await anext(batches) == []
        world.end()
        world.log.away = False
        assert await to_the_end(batches) == [2]


async def test_a_client_that_leaves_is_unsubscribed() -> None:
    world = World()
    world.store(1)
    batches = world.follow()
    assert await following(batches, 1) == [1]
    assert world.publisher.unread([world.execution_id])

    await batches.aclose()

    assert not world.publisher.unread([world.execution_id])


async def test_a_stream_ends_when_the_process_does() -> None:
    world = World()
    world.store(1)
    batches = world.follow()
    assert await following(batches, 1) == [1]

    world.publisher.close()

    assert await to_the_end(batches) == []


async def shown(batches: AsyncGenerator[list[Message], None]) -> list[tuple[str, int]]:
    """Return what a stream hands out up to its end, by type and number."""
    async with asyncio.timeout(HANG_SECONDS):
        return [(each.kind, each.number) async for messages in batches for each in messages]


async def test_of_some_types_only_these_are_handed_out_and_complete_ends_all_the_same() -> None:
    world = World()
    world.store(2)
    world.store(1, EventType.STEP_COMPLETED)
    async with aclosing(world.follow(types={"step_completed"})) as batches:
        assert await following(batches, 1) == [3]
        world.store(3)
        world.store(1, EventType.STEP_COMPLETED)
        world.end()
        world.publish(4, 5, 6, 7, 8)
        assert await shown(batches) == [("step_completed", 7)]


async def test_a_line_on_which_nothing_wanted_comes_is_kept_alive() -> None:
    world = World()
    async with aclosing(world.follow(types={"complete"}, keepalive=0.2)) as batches:
        watch, waiting = Stopwatch(), asyncio.ensure_future(anext(batches))
        while not waiting.done():  # something happens all the time
            world.store()
            world.publish(world.stored)
            await asyncio.sleep(0.01)
        assert await waiting == []
        assert watch.seconds() < 1


async def test_an_event_that_a_newer_version_has_stored_is_handed_on() -> None:
    world = World()
    world.store(1, "step_dreamt")
    world.end()
    assert await shown(world.follow()) == [("step_dreamt", 1), ("complete", 2)]


@pytest.mark.parametrize("types", [None, {"complete"}])
async def test_what_is_pruned_is_told_first_and_the_rest_follows(types: set[str] | None) -> None:
    world = World()
    world.store(4)
    world.end()
    world.log.prune(5)
    batches = world.follow(after=2, types=types)
    reset = (await anext(batches))[0]
    assert reset.payload == (
        b'event: stream-reset\nid: 4\ndata: {"event_type": "stream-reset", "execution_id": "%b", '
        b'"data": {"oldest": 5, "asked": 2}}\n\n' % str(world.execution_id).encode()
    )
    assert await shown(batches) == [("complete", 5)]


async def test_who_has_all_that_is_pruned_hears_nothing_of_it() -> None:
    world = World()
    world.store(4)
    world.end()
    world.log.prune(5)
    assert await shown(world.follow(after=4)) == [("complete", 5)]


async def test_where_all_is_pruned_that_is_told_and_then_the_end() -> None:
    world = World()
    world.store(2)
    world.end()
    world.log.prune(4)
    assert await shown(world.follow(after=1)) == [("stream-reset", 3)]
    assert await shown(world.follow(after=3)) == []


async def test_a_log_that_is_pruned_while_it_is_read_is_told_of_too() -> None:
    world = World()
    world.store(2 * PAGE_SIZE)
    world.end()
    batches = world.follow()
    assert len(await anext(batches)) == PAGE_SIZE
    world.log.prune(world.stored)
    assert await shown(batches) == [("stream-reset", world.stored - 1), ("complete", world.stored)]


async def test_all_that_was_pruned_while_it_was_read_is_told_with_the_next_silence() -> None:
    world = World()
    world.store(2 * PAGE_SIZE)
    world.end()
    batches = world.follow(keepalive=0.05)
    assert len(await anext(batches)) == PAGE_SIZE
    world.log.prune(world.stored + 1)
    assert await shown(batches) == [("stream-reset", world.stored)]


async def test_a_retried_execution_whose_old_log_is_pruned_goes_on() -> None:
    world = World()
    world.store(3)
    world.end()
    async with aclosing(world.follow(after=1)) as batches:
        assert await following(batches, 1) == [2, 3, 4]
        world.log.ended = False
        world.log.prune(4)
        world.store(1)
        world.publish(world.stored)
        assert await following(batches, 1) == [5]


async def test_a_gap_that_was_pruned_costs_one_read() -> None:
    world = World()
    world.store(3)
    async with aclosing(world.follow()) as batches:
        assert await following(batches, 3) == [1, 2, 3]
        world.store(5)
        world.log.prune(8)
        before = world.log.reads
        world.publisher.publish(map(encode, world.log.events))
        assert [(each.kind, each.number) for each in await anext(batches)] == [
            ("stream-reset", 7),
            ("step_started", 8),
        ]
        world.store(1)
        world.publish(world.stored)
        assert await following(batches, 1) == [9]
        assert world.log.reads - before == 1


async def test_a_silent_stream_looks_how_far_the_log_goes_and_reads_nothing() -> None:
    world = World()
    world.store(1)
    async with aclosing(world.follow(keepalive=0.01)) as batches:
        assert await following(batches, 1) == [1]
        reads, looks = world.log.reads, world.log.looks
        async with asyncio.timeout(HANG_SECONDS):
            while world.log.looks < looks + 3:
                assert await anext(batches) == []
        assert world.log.reads == reads


@settings(max_examples=examples(60), deadline=None)
@given(
    moves=st.lists(
        st.one_of(
            st.just("commit"),
            st.just("behind"),
            st.just("breathe"),
            st.tuples(st.integers(1, 12), st.integers(1, 12)),
        ),
        max_size=40,
    ),
    queue_size=st.integers(1, 4),
    after=st.integers(0, 3),
)
async def test_any_mixture_of_hints_gives_each_event_exactly_once(
    moves: list[str | tuple[int, int]], queue_size: int, after: int
) -> None:
    world = World(queue_size=queue_size)
    world.store(3)
    reading = asyncio.create_task(to_the_end(world.follow(after=after, keepalive=0.01)))
    for move in moves:
        match move:
            case "commit":
                world.store()
            case "behind":
                world.publisher.mark_all_behind()
            case "breathe":
                await asyncio.sleep(0)
            case (first, count):
                world.publish(*(number for number in range(first, first + count) if number <= world.stored))
    world.end()
    assert await reading == list(range(after + 1, world.stored + 1))
