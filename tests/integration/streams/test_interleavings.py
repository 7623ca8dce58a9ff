"""Commits, notifications, slow reads, outages and reconnects in any order: each event arrives exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executions.progress import cursor, hub
from tests.integration.streams.interleaving import MOST_CLIENTS, SCOPE, Move, World
from tests.support.fuzzing import examples
from tests.support.waiting import HANG_SECONDS

PAGE_SIZE, READ_LIMIT = 3, 4  # small, so that a few events make more than one
NEVER, SHORT = 1_000.0, 0.01  # seconds of silence
ENOUGH_TURNS = 200  # of the event loop, for everything that was told to happen


which = st.integers(0, MOST_CLIENTS - 1)
how = st.sampled_from(["then", "now", "fail"])
harmless = st.one_of(
    st.tuples(st.just("join"), st.integers(0, 2), st.integers(0, 9)),
    st.tuples(st.just("commit"), st.integers(0, 1), st.integers(1, 5)),
    st.tuples(st.just("announce")),
    st.tuples(st.just("answer"), which, how),
    st.tuples(st.just("answer"), which, how),
    st.tuples(st.just("answer_all"), how),
    st.tuples(st.just("answer_all"), how),
    st.tuples(st.just("slow_down"), which),
    st.tuples(st.just("leave_after"), which, st.integers(1, 5)),
    st.tuples(st.just("cut"), which),
)
anything = st.one_of(harmless, harmless, harmless, st.tuples(st.just("lose")), st.tuples(st.just("deafen")))


def story(happenings: st.SearchStrategy[tuple[Any, ...]]) -> st.SearchStrategy[list[Move]]:
    """Return what happens, and how many turns everybody has after each."""
    return st.lists(st.tuples(happenings, st.integers(0, 8)), min_size=12, max_size=40)


@asynccontextmanager
async def world(*, queue_size: int, keepalive_seconds: float = NEVER) -> AsyncGenerator[World, None]:
    """Provide a world with three clients, two of the same execution, for one example."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cursor, "PAGE_SIZE", PAGE_SIZE)
        patch.setattr(cursor, "RETRY_SECONDS", 0)
        patch.setattr(hub, "READ_LIMIT", READ_LIMIT)
        made = World(queue_size=queue_size, keepalive_seconds=keepalive_seconds)
        for channel in (0, 0, 2):
            made.join(channel, after=0)
        try:
            async with asyncio.timeout(HANG_SECONDS):
                yield made
        finally:
            await made.close()


def exactly_once(made: World) -> bool:
    """Return whether everyone has got every event since they came, once and in order."""
    return all(
        client.numbers == list(range(client.joined_after + 1, len(made.stored[client.channel]) + 1))
        for client in made.clients
    )


async def test_read_events_are_returned_when_the_side_channel_fails() -> None:
    async with world(queue_size=4) as made:
        await made.do([(("commit", 0, 2), 8), *((("answer_all", how), 8) for how in ("now", "now", "fail"))])
        assert [client.numbers for client in made.clients] == [[1, 2]] * 3


async def test_of_two_who_come_at_once_both_get_what_is_stored_between_their_reads() -> None:
    async with world(queue_size=4) as made:
        await made.do([(("breathe", 0), 8), (("answer_all", "now"), 8)])  # they know that there is nothing, and read
        await made.do([(("commit", 0, 1), 0), (("answer", 0, "now"), 8), (("announce",), 8)])
        await made.settle()
        await made.breathe(ENOUGH_TURNS)
        assert made.missing() == []


async def test_who_has_read_too_early_goes_back_for_what_comes_before_the_next_event() -> None:
    async with world(queue_size=4) as made:
        await made.do([(("breathe", 0), 8), (("answer_all", "now"), 8)])
        await made.do([(("commit", 0, 1), 0), (("answer", 0, "now"), 8)])  # one has read it, and the listener goes on
        await made.do([(("commit", 0, 1), 0), (("announce",), 8), (("answer", -1, "now"), 8)])
        await made.settle()
        await made.breathe(ENOUGH_TURNS)
        assert [client.numbers for client in made.clients] == [[1, 2]] * 3


@settings(max_examples=examples(200), deadline=None)
@given(before=story(harmless), after=story(harmless), queue_size=st.integers(1, 4))
async def test_without_lost_notifications_no_client_waits_for_a_timeout_or_polls(
    before: list[Move], after: list[Move], queue_size: int
) -> None:
    async with world(queue_size=queue_size) as made:
        await made.do(before)
        made.complete()
        await made.do(after)
        made.announce()
        await made.settle()
        await made.breathe(ENOUGH_TURNS)
        assert made.missing() == []
        assert exactly_once(made)
        assert all(client.over for client in made.clients if client.channel != SCOPE)
        asked = made.log.asked
        await made.breathe(ENOUGH_TURNS)
        assert made.log.asked == asked


@settings(max_examples=examples(200), deadline=None)
@given(
    before=story(anything),
    after=story(anything),
    queue_size=st.integers(1, 4),
    at_last=st.sampled_from(["another event", "a new connection", "a silence"]),
)
async def test_whatever_is_lost_everyone_gets_each_event_exactly_once(
    before: list[Move], after: list[Move], queue_size: int, at_last: str
) -> None:
    async with world(queue_size=queue_size, keepalive_seconds=SHORT if at_last == "a silence" else NEVER) as made:
        await made.do(before)
        if at_last == "another event":
            await made.do(after)
            made.complete()
            made.announce()
        else:
            made.complete()
            await made.do(after)
        if at_last == "a new connection":
            made.deafen()
        await made.settle()
        while not all(client.over or (client.channel == SCOPE and not made.missing()) for client in made.clients):
            await asyncio.sleep(SHORT)
        assert exactly_once(made)
