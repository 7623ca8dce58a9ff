"""A provider that asks for a long wait: the step is deferred, and continues when it is due."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from executions.engine.domain.budget_usage import usage_of
from executions.engine.domain.errors import IllegalTransition, ModelError, NotWaiting
from executions.engine.domain.retries import was_never_sent
from executions.engine.domain.states import ExecutionStatus, FailureCode, StepStatus, WaitingOn
from executions.engine.testing.in_memory_models import ScriptedModelClient
from executions.engine.transitions import backoff
from tests.factories.engine import FORK, Gate, World, definition, document, invalid, question
from tests.factories.provider_outages import busy, clock, resume, tries


async def test_a_long_wait_defers_the_step_and_holds_no_worker() -> None:
    world = await World(script={"one": [busy(20), document()]}).start()
    execution = await world.run()
    assert (execution.status, execution.claimed_by) == (ExecutionStatus.WAITING, None)
    assert execution.waiting_on == (WaitingOn.RATE_LIMIT,)
    assert execution.resume_at is not None
    assert 20 <= (execution.resume_at - clock(world).now()).total_seconds() <= 21
    assert execution.steps["one"].resume_at == execution.resume_at
    assert (clock(world).slept, world.calls()) == ([], [("one", "failed")])
    told = world.journal.log[world.execution_id][-1]
    assert told.data["waiting_on"] == ["rate_limit"]
    assert told.data["resume_at"] is not None


async def test_a_deferred_step_is_not_woken_before_its_moment() -> None:
    world = await World(script={"one": [busy(20)]}).start()
    await world.run()
    clock(world).advance(19)
    with pytest.raises(NotWaiting):
        await resume(world)
    assert (await world.now()).status is ExecutionStatus.WAITING


async def test_a_deferred_step_goes_on_with_the_same_attempt() -> None:
    world = await World(script={"one": [busy(20), busy(), document()]}).start()
    await world.run()
    clock(world).advance(21)
    resumed = await resume(world)
    assert (resumed.status, resumed.resume_at, resumed.waiting_on) == (ExecutionStatus.RUNNING, None, ())
    assert resumed.steps["one"].status is StepStatus.PENDING
    completed = await world.run("b")
    assert completed.status is ExecutionStatus.COMPLETED
    assert completed.steps["one"].resume_at is None
    assert tries(world)[:3] == [(1, 1, "failed"), (1, 2, "failed"), (1, 3, "committed")]
    assert world.events() == [
        "execution_created",
        "execution_started",
        "step_started",
        "execution_waiting",
        "execution_resumed",
        "step_completed",
        "step_started",
        "step_completed",
        "complete",
    ]


async def test_a_deferred_step_has_no_more_tries_than_another() -> None:
    line = definition({"id": "one", "retries": {"max_tries": 3}})
    world = await World(line, {"one": [busy(20)] * 9}).start()
    for name in "ab":
        await world.run(name)
        clock(world).advance(21)
        await resume(world)
    execution = await world.run("c")
    assert execution.failure is not None
    assert "Tried 3 times" in execution.failure.message


async def test_a_step_deferred_while_it_mends_its_output_goes_on_mending() -> None:
    world = await World(script={"one": [invalid(), busy(20), document()]}).start()
    await world.run()
    clock(world).advance(21)
    await resume(world)
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED
    assert world.asked[1].request_hash == world.asked[2].request_hash
    kinds = [(key.attempt, key.kind.value, key.ordinal) for key in world.ledger.rows][:3]
    assert kinds == [(1, "generate", 1), (2, "remediate", 1), (2, "remediate", 2)]


async def test_other_steps_go_on_while_one_is_deferred_and_it_joins_them_when_its_moment_has_come() -> None:
    right = Gate(document())
    world = await World(FORK, {"left": [busy(20), document()], "right": [right]}).start()
    runner = world.runner()
    running = asyncio.create_task(runner.run())
    await right.under_way()
    while (await world.now()).steps["left"].status is not StepStatus.WAITING:
        await asyncio.sleep(0)
    deferred = await world.now()
    assert (deferred.status, deferred.waiting_on) == (ExecutionStatus.RUNNING, ())
    assert deferred.resume_at == deferred.steps["left"].resume_at
    clock(world).advance(21)
    await resume(world)
    await runner.refresh()
    while (await world.now()).steps["left"].status is not StepStatus.COMPLETED:
        await asyncio.sleep(0)
    right.opened.set()
    assert (await running).status is ExecutionStatus.COMPLETED
    assert "execution_waiting" not in world.events()


async def test_the_execution_is_woken_for_the_first_of_its_deferred_steps() -> None:
    world = await World(FORK, {"left": [busy(100)], "right": [busy(20)]}).start()
    deferred = await world.run()
    assert deferred.resume_at == deferred.steps["right"].resume_at
    clock(world).advance(21)
    resumed = await resume(world)
    assert (resumed.steps["left"].status, resumed.steps["right"].status) == (StepStatus.WAITING, StepStatus.PENDING)
    again = await world.run("b")
    assert (again.status, again.resume_at) == (ExecutionStatus.WAITING, again.steps["left"].resume_at)


async def test_what_waits_for_people_and_for_a_provider_says_both() -> None:
    fork = definition({"id": "left", "clarification": {}}, {"id": "right"})
    world = await World(fork, {"left": [question(), document()], "right": [busy(20), document()]}).start()
    waiting = await world.run()
    assert waiting.waiting_on == (WaitingOn.CLARIFICATION, WaitingOn.RATE_LIMIT)
    await world.answer("left", {"How many?": "two"})
    answered = await world.run("b")
    assert answered.waiting_on == (WaitingOn.RATE_LIMIT,)
    with pytest.raises(NotWaiting):
        await world.answer("right", {"How many?": "two"})


async def test_a_deferred_execution_can_be_cancelled_and_is_not_woken_any_more() -> None:
    world = await World(script={"one": [busy(20)]}).start()
    await world.run()
    cancelled = await world.cancel()
    assert (cancelled.status, cancelled.resume_at) == (ExecutionStatus.CANCELLED, None)
    clock(world).advance(21)
    with pytest.raises(NotWaiting):
        await resume(world)


async def test_a_deferred_step_is_skipped_when_another_fails() -> None:
    broken = ModelError(FailureCode.PROVIDER_REJECTED, "No.")
    world = await World(FORK, {"left": [busy(20)], "right": [broken]}).start()
    execution = await world.run()
    assert (execution.status, execution.resume_at) == (ExecutionStatus.FAILED, None)
    assert execution.steps["left"].status is StepStatus.SKIPPED


async def test_a_call_may_be_tried_again_only_by_a_step_that_is_at_work() -> None:
    world = await World().start()
    with pytest.raises(IllegalTransition):
        await world.decide(lambda execution, context: backoff.retry_call(execution, "one", lost=(), context=context))


async def test_a_call_whose_turn_is_far_off_is_withdrawn_and_counts_for_nothing() -> None:
    flow = definition({"id": "one", "retries": {"max_tries": 1}})
    world = await World(flow, {"one": [document()]}).start()
    assert isinstance(world.ports.models, ScriptedModelClient)
    world.ports.models.turns = [30.0, 60.0]
    for seconds in (30, 60):
        execution = await world.run()
        assert execution.waiting_on == (WaitingOn.RATE_LIMIT,)
        assert execution.resume_at == world.ports.clock.now() + timedelta(seconds=seconds)
        clock(world).advance(seconds)
        await resume(world)
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    assert world.calls() == [("one", "failed"), ("one", "failed"), ("one", "committed")]
    assert all(was_never_sent(call) for call in list(world.ledger.rows.values())[:2])
    assert usage_of(world.ledger.of(world.execution_id)).calls == 1
    assert len(world.asked) == 1


async def test_instead_of_a_turn_that_is_far_off_the_next_model_is_asked() -> None:
    world = await World(definition({"id": "one", "fallbacks": ["b:second"]})).start()
    assert isinstance(world.ports.models, ScriptedModelClient)
    world.ports.models.turns = [30.0]
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    assert [request.model for request in world.asked] == ["b:second"]
