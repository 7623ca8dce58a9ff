"""Dry runs: the script sets the failures by call number, and the scope stays unchanged."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.calls import ModelReply, ModelRequest
from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import ExecutionStatus, FailureCode, WaitingOn
from executions.engine.testing.in_memory_models import ScriptedModelClient
from executions.engine.transitions.planner import DRY_RUN, new_execution
from executions.llm.rehearsal.model import RehearsalModel
from tests.factories.collections import collection, items, over
from tests.factories.engine import LINE, Gate, World, definition, document
from tests.factories.provider_outages import clock, resume
from tests.integration.llm.text_listeners import ignore
from workflows.definitions.definition import WorkflowDefinition


async def dry(flow: WorkflowDefinition, **script: Any) -> World:
    """Return a world with a dry run in it."""
    world = World(flow)
    rehearsal = RehearsalModel(latency_seconds=0)

    async def reply(request: ModelRequest) -> ModelReply:
        return await rehearsal.complete(request, ignore)

    assert isinstance(world.ports.models, ScriptedModelClient)
    world.ports.models.script = reply
    await world.start("# Ferry\n\nThe town buys a ferry for 300,000 EUR. Ms Ode decides.")
    rows = world.journal.executions.rows
    known = rows[world.execution_id]
    planned = new_execution(
        flow,
        execution_id=known.id,
        workflow_version=1,
        scope=known.scope,
        brief=known.input,
        script=DryRunScript.model_validate(script),
        now=known.created_at,
    )
    rows[world.execution_id] = replace(known, steps=planned.steps, script=planned.script)
    return world


def kinds(world: World, step_id: str) -> list[tuple[int, str, str]]:
    return [
        (key.attempt, key.kind.value, call.status.value)
        for key, call in world.ledger.rows.items()
        if key.step_id == step_id
    ]


async def test_every_model_is_the_rehearsal_and_the_documents_live_beside_those_of_the_scope() -> None:
    flow = definition(
        {"id": "one", "model": "openai:gpt-5", "fallbacks": ["anthropic:c"], "review": {"rubric": "Short."}},
        {"id": "two", "inputs": ["one"], "model": "anthropic:c"},
    )
    world = await dry(flow)
    execution = await world.run()
    assert execution.status is ExecutionStatus.COMPLETED
    assert {request.model for request in world.asked} == {"rehearsal:rehearsal"}
    places = {scope for scope, _ in world.documents.versions}
    assert places == {step.scope.id for step in execution.steps.values()}
    assert execution.scope.id not in places
    assert {step.scope.type for step in execution.steps.values()} == {DRY_RUN}
    assert {step.scope.key for step in execution.steps.values()} == {str(execution.id)}


async def test_the_script_says_what_goes_wrong() -> None:
    flow = definition(
        {"id": "one", "clarification": {}, "review": {"rubric": "Short."}, "retries": {"base_seconds": 0}},
        {"id": "two", "inputs": ["one"]},
    )
    one = {"fail": ["provider_unavailable", "timed_out"], "ask": [{"text": "Which ferry?"}], "invalid": 1}
    world = await dry(flow, steps={"one": {**one, "verdicts": ["needs_revision", "satisfied"]}})
    assert (await world.run()).waiting_on == (WaitingOn.CLARIFICATION,)
    await world.answer("one", {"Which ferry?": "The second"})
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED
    assert kinds(world, "one") == [
        (1, "generate", "failed"),
        (1, "generate", "failed"),
        (1, "generate", "committed"),
        (2, "clarify", "committed"),
        (3, "remediate", "committed"),
        (3, "review", "committed"),
        (4, "remediate", "committed"),
        (4, "review", "committed"),
    ]
    assert kinds(world, "two") == [(1, "generate", "committed")]


@pytest.mark.parametrize("code", ["provider_rejected", "model_refused", "context_too_long"])
async def test_what_does_not_pass_fails_the_step(code: str) -> None:
    world = await dry(LINE, steps={"one": {"fail": [code, code]}})
    execution = await world.run()
    assert execution.failure is not None
    assert execution.failure.code is FailureCode(code)


async def test_too_much_that_is_not_valid_is_given_up() -> None:
    world = await dry(LINE, steps={"two": {"invalid": 3}})
    execution = await world.run()
    assert execution.failure is not None
    assert execution.failure.code is FailureCode.VALIDATION_EXHAUSTED


async def test_items_do_what_their_step_is_scripted_to_do_in_scopes_below_that_of_the_run() -> None:
    flow = definition(
        {"id": "epics", "output_schema": collection("epics"), "acceptance": {}},
        {"id": "design", "for_each": over("epics", "epic")},
    )
    world = await dry(flow, steps={"design": {"invalid": 1}})
    assert isinstance(world.ports.models, ScriptedModelClient)
    rehearsed = world.ports.models.script

    async def reply(request: ModelRequest) -> ModelReply:
        return items("epics", "pay", "ship") if request.step_id == "epics" else await rehearsed(request)

    world.ports.models.script = reply
    assert (await world.run()).waiting_on == (WaitingOn.ACCEPTANCE,)
    await world.review(AcceptanceAction.ACCEPT, step_id="epics")
    execution = await world.run("b")
    assert execution.status is ExecutionStatus.COMPLETED
    designs = [step for step in execution.steps.values() if step.slug == "design"]
    assert designs
    for step in designs:
        assert [attempt for attempt, _, _ in kinds(world, step.step_id)] == [1, 2]
        assert step.scope.type == "epic"
    assert execution.scope.id not in {scope for scope, _ in world.documents.versions}


async def test_a_step_that_was_made_to_fail_goes_on_with_the_rest_of_its_script_when_it_is_retried() -> None:
    flow = definition({"id": "one", "clarification": {}})
    world = await dry(flow, steps={"one": {"fail": ["model_refused"], "ask": [{"text": "Which ferry?"}], "invalid": 1}})
    assert (await world.run()).status is ExecutionStatus.FAILED
    await world.retry()
    assert (await world.run()).waiting_on == (WaitingOn.CLARIFICATION,)
    await world.answer("one", {"Which ferry?": "The second"})
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    assert kinds(world, "one") == [
        (1, "generate", "failed"),
        (2, "generate", "committed"),
        (3, "clarify", "committed"),
        (4, "remediate", "committed"),
    ]


async def test_items_of_a_collection_are_named_so_that_other_steps_can_go_over_them() -> None:
    flow = definition(
        {"id": "epics", "output_schema": collection("epics")}, {"id": "design", "for_each": over("epics", "epic")}
    )
    execution = await (await dry(flow)).run()
    assert execution.status is ExecutionStatus.COMPLETED
    assert [step.step_id for step in execution.steps.values()] == ["epics", *(f"design@epics-{n}" for n in range(1, 5))]


# --- waiting ----------------------------------------------------------------------------------------------------------


async def waited(world: World, times: int, seconds: float = 60.0) -> Execution:
    """Run a dry run past so many waits; return it as it is then."""
    execution = await world.run()
    for number in range(times):
        assert (execution.status, execution.claimed_by) == (ExecutionStatus.WAITING, None)
        assert execution.waiting_on == (WaitingOn.RATE_LIMIT,)
        clock(world).advance(seconds)
        await resume(world)
        execution = await world.run(f"runner-{number}")
    assert clock(world).slept == []
    return execution


@pytest.mark.parametrize("seconds", [5.5, 60])
async def test_a_long_scripted_reply_is_waited_for_once_without_a_worker(seconds: float) -> None:
    world = await dry(definition({"id": "one"}), latency_seconds=seconds)
    execution = await waited(world, 1, seconds)
    assert execution.status is ExecutionStatus.COMPLETED
    assert kinds(world, "one") == [(1, "generate", "failed"), (1, "generate", "committed")]
    assert [(request.ordinal, request.has_waited) for request in world.asked] == [(2, True)]


async def test_a_short_scripted_reply_is_written_meanwhile() -> None:
    world = await dry(definition({"id": "one"}), latency_seconds=0.05)
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    assert kinds(world, "one") == [(1, "generate", "committed")]


async def test_every_step_attempt_and_review_waits_for_itself() -> None:
    flow = definition({"id": "one", "review": {"rubric": "Short."}}, {"id": "two", "inputs": ["one"]})
    world = await dry(flow, latency_seconds=60, steps={"one": {"invalid": 1}})
    assert (await waited(world, 4)).status is ExecutionStatus.COMPLETED


async def test_what_is_to_fail_fails_at_once_and_the_next_call_waits() -> None:
    flow = definition({"id": "one", "retries": {"base_seconds": 0}})
    world = await dry(flow, latency_seconds=60, steps={"one": {"fail": ["provider_unavailable", "timed_out"]}})
    execution = await world.run()
    assert execution.waiting_on == (WaitingOn.RATE_LIMIT,)
    assert [request.scripted_fault for request in world.asked] == ["provider_unavailable", "timed_out"]
    clock(world).advance(60)
    await resume(world)
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED


async def test_a_runner_that_is_lost_after_the_wait_does_not_wait_again() -> None:
    world = await dry(definition({"id": "one"}), latency_seconds=60)
    assert isinstance(world.ports.models, ScriptedModelClient)
    answer, gate = world.ports.models.script, Gate(document())
    world.ports.models.script = gate
    await world.run()
    clock(world).advance(60)
    await resume(world)
    lost = asyncio.create_task(world.run("b"))
    await gate.under_way()
    lost.cancel()
    await asyncio.wait({lost})
    world.ports.models.script = answer
    assert (await world.run("c")).status is ExecutionStatus.COMPLETED
    assert world.asked[-1].has_waited


async def test_a_dry_run_is_cancelled_while_it_waits() -> None:
    world = await dry(definition({"id": "one"}), latency_seconds=60)
    await world.run()
    assert (await world.cancel()).status is ExecutionStatus.CANCELLED
