"""Repeated steps while others wait, run or have ended: no leftovers, and no endless calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.errors import IllegalTransition, ModelError
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import ExecutionStatus, FailureCode, StepStatus
from executions.engine.transitions import core
from tests.factories.collections import collection, items, over
from tests.factories.engine import Gate, World, definition, document, question

REFUSED = ModelError(FailureCode.PROVIDER_REJECTED, "No.", transient=False)


async def again(world: World, from_step: str) -> Execution:
    """Cancel what goes on, and have it done again from a step."""
    if not (await world.now()).ended:
        await world.cancel()
    return await world.retry(from_step)


async def test_what_waited_for_a_person_is_made_again_from_what_is_made_again() -> None:
    line = definition(
        {"id": "one"}, {"id": "two", "inputs": ["one"], "acceptance": {}}, {"id": "three", "inputs": ["two"]}
    )
    world = await World(line).start()
    await world.run()
    await again(world, "one")
    waiting = await world.run("b")
    assert [request.step_id for request in world.asked] == ["one", "two", "one", "two"]
    assert (waiting.steps["two"].document_version, waiting.steps["two"].input_versions[0].version) == (2, 2)


async def test_questions_about_what_is_made_again_are_not_asked_any_more() -> None:
    policy = {"max_rounds": 1}
    line = definition(
        {"id": "one", "clarification": {"max_rounds": 3}}, {"id": "two", "inputs": ["one"], "clarification": policy}
    )
    script: dict[str, Any] = {"one": [document(), question("Who?")], "two": [question("How?"), question("How?")]}
    world = await World(line, script).start()
    await world.run()
    await again(world, "one")
    waiting = await world.run("b")
    assert (waiting.steps["two"].status, waiting.steps["two"].rounds) == (StepStatus.PENDING, ())
    await world.answer("one", {"one.1.1": "Twelve"})
    waiting = await world.run("c")
    assert (waiting.status, waiting.steps["two"].status) == (ExecutionStatus.WAITING, StepStatus.WAITING)


@pytest.mark.parametrize("waits", [{"acceptance": {}}, {"clarification": {"max_rounds": 1}}])
async def test_a_question_of_a_removed_item_is_not_waited_for(waits: dict[str, Any]) -> None:
    made = definition(
        {"id": "epics", "output_schema": collection("epics")},
        {"id": "design", "for_each": over("epics", "epic"), **waits},
    )
    script: dict[str, Any] = {"epics": [items("epics", "pay"), items("epics")]}
    if "clarification" in waits:
        script["design@pay"] = [question()]
    world = await World(made, script).start()
    assert (await world.run()).status is ExecutionStatus.WAITING
    await again(world, "epics")
    execution = await world.run("b")
    assert (execution.status, execution.steps["design@pay"].status) == (
        ExecutionStatus.COMPLETED,
        StepStatus.SKIPPED,
    )


async def test_items_of_what_was_made_beside_a_failure_are_left_out_with_it() -> None:
    skipping = over("epics", "epic", on_item_failure="skip")
    made = definition(
        {"id": "epics", "output_schema": collection("epics")},
        {"id": "design", "for_each": skipping},
        {"id": "stories", "for_each": skipping, "output_schema": collection("stories")},
        {"id": "test", "for_each": over("stories", "story"), "inputs": ["design"]},
    )
    gate = Gate(items("stories", "card"))
    script: dict[str, Any] = {"epics": [items("epics", "pay")], "design@pay": [REFUSED], "stories@pay": [gate]}
    world = await World(made, script).start()
    running = asyncio.create_task(world.run())
    await gate.under_way()
    while (await world.now()).steps["design@pay"].status is not StepStatus.FAILED:
        await asyncio.sleep(0)
    gate.opened.set()
    execution = await running
    assert execution.status is ExecutionStatus.COMPLETED
    assert execution.steps["test@pay.card"].status is StepStatus.SKIPPED
    assert world.events("test@pay.card") == ["step_skipped"]


async def test_a_step_whose_dependent_is_at_work_fails_once() -> None:
    skipping = over("epics", "epic", on_item_failure="skip")
    made = definition(
        {"id": "epics", "output_schema": collection("epics")},
        {"id": "design", "for_each": skipping},
        {"id": "check", "for_each": over("epics", "epic"), "inputs": ["design"]},
    )
    gate = Gate(document())
    world = await World(made, {"epics": [items("epics", "pay")], "check@pay": [gate]}).start()
    running = asyncio.create_task(world.run())
    await gate.under_way()
    left_out = await world.decide(
        lambda execution, context: core.skip_dependents(core.Change(execution=execution), "design@pay", context=context)
    )
    assert left_out.steps["check@pay"].status is StepStatus.RUNNING
    gate.opened.set()
    assert (await running).steps["check@pay"].status is StepStatus.COMPLETED


async def test_nothing_is_worked_over_after_a_failure_that_ends_the_execution() -> None:
    beside = definition({"id": "one", "acceptance": {}}, {"id": "bad"}, {"id": "slow"})
    gate = Gate(document())
    world = await World(beside, {"bad": [REFUSED], "slow": [gate]}).start()
    running = asyncio.create_task(world.run())
    await gate.under_way()
    while (await world.now()).steps["bad"].status is not StepStatus.FAILED:
        await asyncio.sleep(0)
    while (await world.now()).steps["one"].status is not StepStatus.WAITING:
        await asyncio.sleep(0)
    with pytest.raises(IllegalTransition):
        await world.review(AcceptanceAction.REQUEST_CHANGES, comment="More.")
    gate.opened.set()
    assert (await running).status is ExecutionStatus.FAILED
    assert [request.step_id for request in world.asked].count("one") == 1


async def test_items_that_are_there_already_count_once(restrict: Callable[..., None]) -> None:
    restrict(steps=10)
    made = definition(
        {"id": "epics", "output_schema": collection("epics")}, {"id": "design", "for_each": over("epics", "epic")}
    )
    keys = ("a", "b", "c", "d", "e", "f")
    world = await World(made, {"epics": [items("epics", *keys), items("epics", *keys)], "design@a": [REFUSED]}).start()
    await world.run()
    await again(world, "epics")
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED
    assert len([request for request in world.asked if request.step_id == "epics"]) == 2


async def test_what_was_said_with_an_accept_is_no_request_for_changes() -> None:
    gated = definition({"id": "one", "acceptance": {}}, {"id": "two", "inputs": ["one"]})
    world = await World(gated, {"two": [REFUSED]}).start()
    await world.run()
    await world.review(AcceptanceAction.ACCEPT, comment="Perfect.")
    await world.run("b")
    await again(world, "one")
    await world.run("c")
    assert not [each for each in world.asked[-1].materials if each.kind == "change_request"]


async def test_questions_that_wait_again_are_told_again() -> None:
    line = definition({"id": "one", "clarification": {"max_rounds": 1}})
    world = await World(line, {"one": [question("Who?")]}).start()
    await world.run()
    await world.cancel()
    await world.retry()
    retried, asked, waiting = world.journal.log[world.execution_id][-3:]
    assert [each.event_type for each in (retried, waiting)] == ["execution_retried", "execution_waiting"]
    assert (asked.event_type, asked.step_id) == ("clarification_needed", "one")
    assert [each["id"] for each in asked.data["questions"]] == ["one.1.1"]  # type: ignore[union-attr, call-overload, index]


async def test_collections_that_are_too_many_together_are_sent_back_as_what_they_are(
    restrict: Callable[..., None],
) -> None:
    restrict(steps=9)
    made = definition(
        {"id": "epics", "output_schema": collection("epics")},
        {"id": "risks", "output_schema": collection("risks")},
        {"id": "design", "for_each": over("epics", "epic")},
        {"id": "answer", "for_each": over("risks", "risk")},
    )
    epics, risks = Gate(items("epics", "a", "b", "c", "d")), Gate(items("risks", "e", "f", "g", "h"))
    world = await World(made, {"epics": [epics, items("epics", "a")], "risks": [risks, items("risks", "e")]}).start()
    running = asyncio.create_task(world.run())
    for gate in (epics, risks):
        await gate.under_way()
    epics.opened.set()
    risks.opened.set()
    assert (await running).status is ExecutionStatus.COMPLETED
    sent_back = [
        each.data for each in world.journal.log[world.execution_id] if each.event_type == "remediation_started"
    ]
    assert [each["violations"][0]["code"] for each in sent_back] == ["too_many_items"]  # type: ignore[index, call-overload]
