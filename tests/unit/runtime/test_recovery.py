"""Workers that stop, die or lose their claim: no loss, no repeated payment, no late write."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest
from pydantic import JsonValue

from common.errors import VersionConflict
from executions.engine.domain.errors import DatabaseUnavailable, StaleFencingToken
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import CallStatus, ExecutionStatus, FailureCode, StepStatus
from executions.engine.runtime.runner import ExecutionRunner
from tests.factories.engine import FORK, Gate, World, document, invalid
from tests.unit.runtime.fault_injection import LateLedger, announces, has_document, hinder


async def test_a_runner_stopped_while_it_stores_a_document_stores_it() -> None:
    world = await World().start()
    hindered = hinder(world, has_document)
    running = asyncio.create_task(world.runner().run())
    await hindered.reached.wait()
    running.cancel()
    await asyncio.sleep(0)
    hindered.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    stored = await world.now()
    assert stored.steps["one"].status is StepStatus.COMPLETED
    assert stored.claimed_by is None
    assert world.calls() == [("one", "committed"), ("two", "failed")]  # announced with it, and never sent
    assert not world.ledger.rows[list(world.ledger.rows)[1]].reply
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    assert [request.step_id for request in world.asked] == ["one", "two"]


async def test_a_runner_stopped_while_it_announces_a_call_reports_it_as_not_sent() -> None:
    world = await World().start()
    hindered = hinder(world, announces)
    running = asyncio.create_task(world.runner().run())
    await hindered.reached.wait()
    running.cancel()
    await asyncio.sleep(0)
    hindered.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert world.calls() == [("one", "failed")]
    assert not world.asked
    assert (await world.now()).claimed_by is None


async def test_a_runner_stopped_while_it_claims_hands_back_what_it_claimed() -> None:
    world = await World().start()
    hindered = hinder(world, lambda _: True)
    running = asyncio.create_task(world.runner().run())
    await hindered.reached.wait()
    running.cancel()
    await asyncio.sleep(0)
    hindered.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    stored = await world.now()
    assert (stored.status, stored.fencing_token, stored.claimed_by) == (ExecutionStatus.RUNNING, 1, None)


async def test_an_overtaken_runner_does_not_hand_back_what_is_another_ones() -> None:
    first, second = Gate(document()), Gate(document())
    world = await World(script={"one": [first, second]}).start()
    runner = world.runner("a")
    overtaken = asyncio.create_task(runner.run())
    await first.under_way()
    other = asyncio.create_task(world.runner("b").run())
    await second.under_way()
    await runner.refresh()  # it has seen the other's claim
    overtaken.cancel()  # and is stopped before it could do anything about it
    with pytest.raises(asyncio.CancelledError):
        await overtaken
    assert (await world.now()).claimed_by == "b"
    second.opened.set()
    assert (await other).status is ExecutionStatus.COMPLETED


async def test_a_runner_goes_by_the_newest_version_though_older_news_arrives_later() -> None:
    left, right = Gate(document()), Gate(document())
    world = await World(FORK, {"left": [left], "right": [right]}).start()
    runner = world.runner()
    running = asyncio.create_task(runner.run())
    await asyncio.gather(left.under_way(), right.under_way())
    left.opened.set()
    right.opened.set()  # both end in the same turn of the loop
    execution = await running
    assert execution.status is ExecutionStatus.COMPLETED
    assert execution == await world.now()
    assert [request.step_id for request in world.asked].count("join") == 1


async def test_a_reply_that_could_not_be_stored_with_its_decision_is_kept_and_used() -> None:
    world = await World(script={"one": [document("Bought once")]}).start()
    hinder(world, has_document, DatabaseUnavailable("The database is away."))
    with pytest.raises(DatabaseUnavailable):
        await world.runner("a").run()
    completed = await world.run("b")
    assert completed.status is ExecutionStatus.COMPLETED
    assert [request.step_id for request in world.asked] == ["one", "two"]
    assert world.documents.versions[completed.scope.id, "one"][0].title == "Bought once"


async def test_a_document_whose_head_moved_is_placed_again_without_asking_again() -> None:
    world = await World().start()
    hinder(world, has_document, VersionConflict("The document", expected=0))
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    assert world.calls() == [("one", "committed"), ("two", "committed")]


async def test_a_bug_leaves_no_call_under_way_in_the_books() -> None:
    world = await World(script={"one": [RuntimeError("a bug")]}).start()
    execution = await world.run()
    assert execution.failure is not None
    assert execution.failure.code is FailureCode.INTERNAL
    assert world.calls() == [("one", "unknown")]
    totals = world.journal.log[world.execution_id][-1].data["totals"]
    assert isinstance(totals, dict)
    assert totals["cost_final"] is True
    assert totals["cost_complete"] is False


async def test_a_runner_that_is_overtaken_while_it_takes_a_call_up_leaves_the_books_alone() -> None:
    first, second = Gate(document()), Gate(document("Of the last"))
    world = await World(script={"one": [first, second]}).start()
    dead = asyncio.create_task(world.runner("dead").run())
    await first.under_way()
    ledger = LateLedger(world.ledger)
    late = ExecutionRunner(replace(world.ports, ledger=ledger), execution_id=world.execution_id, worker="late")
    overtaken = asyncio.create_task(late.run())
    await ledger.reached.wait()  # it has claimed, and asks what the dead one left
    last = asyncio.create_task(world.runner("last").run())
    await second.under_way()
    ledger.opened.set()  # now it sees the call of the one that overtook it
    await overtaken
    second.opened.set()
    assert (await last).status is ExecutionStatus.COMPLETED
    assert [status for step, status in world.calls() if step == "one"] == ["unknown", "committed"]
    await _end(dead)


async def test_a_cancel_that_meets_a_stop_keeps_the_cost_of_the_reply() -> None:
    world = await World().start()
    hindered = hinder(world, has_document)
    runner = world.runner()
    running = asyncio.create_task(runner.run())
    await hindered.reached.wait()
    await world.cancel()
    await runner.refresh()  # cancels the task while it stores the document
    await asyncio.sleep(0)
    hindered.opened.set()
    assert (await running).status is ExecutionStatus.CANCELLED
    [call] = world.ledger.rows.values()
    assert call.status is CallStatus.DISCARDED
    assert call.reply is not None
    assert not world.documents.versions


async def test_an_overtaken_runner_stops_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    left, right = Gate(document()), Gate(document())
    world = await World(FORK, {"left": [left], "right": [right]}).start()
    overtaken = asyncio.create_task(world.runner("a").run())
    await asyncio.gather(left.under_way(), right.under_way())
    completed = await world.run("b")
    left.opened.set()
    right.opened.set()
    assert await overtaken == completed
    assert not caplog.records


async def test_an_overtaken_runner_that_is_told_stops_its_calls() -> None:
    gate = Gate(document())
    world = await World(script={"one": [gate]}).start()
    runner = world.runner("a")
    overtaken = asyncio.create_task(runner.run())
    await gate.under_way()
    completed = await world.run("b")
    await runner.refresh()
    assert await overtaken == completed  # although the gate stays closed
    assert world.journal.log[world.execution_id][-1].sequence == completed.last_sequence


@pytest.mark.parametrize(
    "error", [DatabaseUnavailable("away"), StaleFencingToken(UUID(int=0), fencing_token=1)], ids=["away", "superseded"]
)
async def test_a_stopped_runner_that_cannot_hand_back_stops_all_the_same(error: Exception) -> None:
    gate = Gate(document())
    world = await World(script={"one": [gate]}).start()
    hindered = hinder(world, lambda transition: not transition.calls and transition.fencing_token is not None, error)
    running = asyncio.create_task(world.runner().run())
    await gate.under_way()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert hindered.hindered == 1
    assert (await world.now()).claimed_by == "a"  # recovery will see that its heartbeat has stopped


async def _end(task: asyncio.Task[Execution]) -> None:
    """Stop what stands for a runner that died."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_runner_leaves_no_task_behind() -> None:
    gate = Gate(document())
    world = await World(script={"one": [gate]}).start()
    running = asyncio.create_task(world.runner().run())
    await gate.under_way()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_remediation_that_is_taken_up_has_the_output_and_the_violations_of_the_ledger() -> None:
    gate = Gate(document())
    world = await World(script={"one": [invalid(), gate]}).start()
    dead = asyncio.create_task(world.runner("a").run())
    await gate.under_way()
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED
    first, again, *_ = [request for request in world.asked if request.step_id == "one"][1:]
    assert again.prompt == first.prompt
    assert again.request_hash == first.request_hash
    await _end(dead)


async def test_what_is_taken_up_reads_the_versions_that_were_pinned() -> None:
    gate = Gate(document())
    world = await World(script={"two": [gate]}).start()
    dead = asyncio.create_task(world.runner("a").run())
    await gate.under_way()
    [made] = world.documents.versions[(await world.now()).scope.id, "one"]
    newer: dict[str, JsonValue] = {"title": "Of another execution", "points": ["later"]}
    await world.documents.save(replace(made, version=2, content=newer, title="Of another execution"))
    await world.run("b")
    assert "Title of one" in world.asked[-1].prompt
    assert "Of another execution" not in world.asked[-1].prompt
    await _end(dead)
