"""The database loses what it had confirmed, while runners go on: they notice, and begin again from what is left."""

from __future__ import annotations

import asyncio

import pytest

from executions.engine.calls import ModelReply, ModelRequest
from executions.engine.errors import NotFound
from executions.engine.states import ExecutionStatus
from tests.contract.worlds import AnyWorld
from tests.engine.world import Gate, document


async def test_what_was_lost_is_made_again_and_a_reply_under_way_is_used(world_of: type[AnyWorld]) -> None:
    world = world_of()

    async def keep_and_reply(_: ModelRequest) -> ModelReply:
        await world.keep()
        return document()

    second = Gate(document())
    world.script = {"one": [keep_and_reply, document()], "two": [second]}
    await world.start()
    running = asyncio.create_task(world.runner("a").run())
    await second.under_way()
    await world.go_back()
    second.opened.set()
    left = await running
    assert (left.status, left.runner) == (ExecutionStatus.RUNNING, "a")  # it stopped, and failed nothing
    ended = await world.run("a")
    assert ended.status is ExecutionStatus.COMPLETED
    assert [request.step_id for request in world.asked] == ["one", "two", "one"]
    assert [number for number, *_ in await world.log()] == list(range(1, ended.last_sequence + 1))
    assert ("two", 1, "committed") in await world.booked()


async def test_an_execution_that_was_lost_is_gone_for_its_runner(world_of: type[AnyWorld]) -> None:
    world = world_of()
    gate = Gate(document())
    world.script = {"one": [gate]}
    await world.keep()
    await world.start()
    running = asyncio.create_task(world.runner("a").run())
    await gate.under_way()
    await world.go_back()
    gate.opened.set()
    with pytest.raises(NotFound):
        await running
