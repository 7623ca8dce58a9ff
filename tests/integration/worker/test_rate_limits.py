"""Calls to rate-limited models on real connections: the limit holds, and long waits defer the step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from executions.db_threads import in_thread
from executions.engine.domain.errors import RateLimited
from executions.llm.rate_limiter import RateLimiter
from telemetry.models import CallTurn, ModelLimit
from telemetry.rate_limits import store
from tests.integration.llm.calls.test_client import REQUEST
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)
LIMITED = replace(REQUEST, model="openai:gpt-5")


@pytest.fixture
async def process() -> AsyncIterator[Callable[..., RateLimiter]]:
    """Makes processes; each has told the database all when the test is over."""
    made: list[RateLimiter] = []

    def make(patience_seconds: float = HANG_SECONDS) -> RateLimiter:
        made.append(RateLimiter(patience_seconds=patience_seconds))
        return made[-1]

    yield make
    for each in made:
        await each.flush()


async def limited(**limits: int) -> None:
    """Limit the model."""
    await in_thread(lambda: ModelLimit.objects.create(provider="openai", model="*", **limits))
    await in_thread(store.LIMITS.load)


async def test_two_processes_together_hold_no_more_than_may_be_at_once(process: Callable[..., RateLimiter]) -> None:
    await limited(calls_at_once=3)
    processes = [process(), process()]
    under_way = most = 0

    async def call(held: RateLimiter) -> None:
        nonlocal under_way, most
        async with held.permit(LIMITED) as turn:
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.02)
            turn.used(10)
            under_way -= 1

    await asyncio.gather(*(call(processes[number % 2]) for number in range(16)))
    assert most == 3
    for each in processes:
        await each.flush()
    rows = await in_thread(lambda: list(CallTurn.objects.values_list("tokens", "ended_at")))
    assert {tokens for tokens, _ in rows} == {10}


async def test_who_would_wait_for_long_is_sent_away_and_leaves_no_place_behind(
    process: Callable[..., RateLimiter],
) -> None:
    await limited(calls_at_once=1)
    one = process(0.5)
    async with one.permit(LIMITED):
        with pytest.raises(RateLimited) as sent_away:
            async with one.permit(LIMITED):
                raise AssertionError("it was let in")
        assert sent_away.value.retry_after is not None
        assert sent_away.value.retry_after >= 10
    async with one.permit(LIMITED):
        assert await in_thread(CallTurn.objects.filter(ended_at=None).count) == 1


async def test_a_call_that_is_cancelled_while_it_waits_leaves_the_line(
    process: Callable[..., RateLimiter],
) -> None:
    await limited(calls_at_once=1)
    one = process()

    async def wait() -> None:
        async with one.permit(LIMITED):
            raise AssertionError("it was let in")

    async with one.permit(LIMITED):
        waiting = asyncio.create_task(wait())
        while await in_thread(CallTurn.objects.filter(granted_at=None).count) == 0:
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        while await in_thread(CallTurn.objects.filter(granted_at=None).count):
            await asyncio.sleep(0.01)


async def test_other_models_pass_without_a_word_to_the_database(
    process: Callable[..., RateLimiter],
) -> None:
    await limited(calls_at_once=1)
    one = process()
    async with one.permit(LIMITED), one.permit(REQUEST), one.permit(REQUEST):
        assert await in_thread(CallTurn.objects.count) <= 1
