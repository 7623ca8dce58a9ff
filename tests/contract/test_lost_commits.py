"""The database loses confirmed commits while workers run: they notice, and continue from the remaining state."""

from __future__ import annotations

import asyncio

import pytest

from common.errors import NotFound
from executions.db_threads import in_thread
from executions.engine.domain.calls import ModelReply, ModelRequest
from executions.engine.domain.states import ExecutionStatus, StepStatus
from tests.contract.backends import AnyWorld, PostgresWorld
from tests.factories.engine import Gate, document
from tests.integration.persistence.database_rollback import keep_tables, restore_tables


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
    assert (left.status, left.claimed_by) == (ExecutionStatus.RUNNING, "a")  # it stopped, and failed nothing
    ended = await world.run("a")
    assert ended.status is ExecutionStatus.COMPLETED
    assert [request.step_id for request in world.asked] == ["one", "two", "one"]
    assert [number for number, *_ in await world.log()] == list(range(1, ended.last_sequence + 1))
    assert ("two", 1, "committed") in await world.booked()


async def test_a_reply_from_what_was_lost_is_not_used_for_other_inputs(world_of: type[AnyWorld]) -> None:
    world = world_of()

    async def keep_and_reply(_: ModelRequest) -> ModelReply:
        await world.keep()
        return document("First")

    from_first = Gate(document("From the first"))
    world.script = {"one": [keep_and_reply, document("Second")], "two": [from_first, document("From the second")]}
    await world.start()
    running = asyncio.create_task(world.runner("a").run())
    await from_first.under_way()
    await world.go_back()
    from_first.opened.set()
    await running
    ended = await world.run("a")
    made = ended.steps["two"]
    assert made.document_id is not None
    stored = await world.ports.repositories.documents.get(made.document_id, 1)
    assert stored.content["title"] == "From the second"
    assert [request.step_id for request in world.asked] == ["one", "two", "one", "two"]
    assert (await world.booked()).count(("two", 1, "committed")) == 2  # both were paid for


async def test_two_runners_that_have_claimed_the_same_do_not_write_for_each_other(world_of: type[AnyWorld]) -> None:
    world = world_of()
    lost, other = Gate(document("Of a")), Gate(document("Of b"))
    world.script = {"one": [lost, other]}
    await world.start()
    await world.keep()
    first = asyncio.create_task(world.runner("a").run())
    await lost.under_way()
    await world.go_back()  # to before the claim: the next one gets the same fencing token
    second = asyncio.create_task(world.runner("b").run())
    await other.under_way()
    lost.opened.set()
    assert (await first).claimed_by == "b"  # it has stopped
    assert (await world.now()).steps["one"].status is StepStatus.RUNNING
    other.opened.set()
    ended = await second
    assert ended.status is ExecutionStatus.COMPLETED
    assert [number for number, *_ in await world.log()] == list(range(1, ended.last_sequence + 1))


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


@pytest.mark.django_db(transaction=True)
async def test_what_is_remembered_and_was_lost_is_stored_again_before_the_loss_is_noticed() -> None:
    """A document's schema is stored once, and known from then on."""
    await in_thread(keep_tables)
    first = await PostgresWorld().start()
    assert (await first.run()).status is ExecutionStatus.COMPLETED
    await in_thread(restore_tables, noticed=False)
    second = await PostgresWorld().start()
    assert (await second.run()).status is ExecutionStatus.COMPLETED
