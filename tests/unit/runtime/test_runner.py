"""The runner and its steps in memory: which steps run, which wait, and which calls are paid for."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from executions.engine.domain.calls import ModelReply, ModelRequest
from executions.engine.domain.errors import AlreadyClaimed, ModelError, NotWaiting
from executions.engine.domain.states import CallStatus, ExecutionStatus, FailureCode, StepStatus
from tests.factories.engine import ASKING, FORK, LINE, Gate, World, definition, document, invalid, question, reply


async def test_steps_run_in_the_order_of_their_documents() -> None:
    world = await World().start()
    execution = await world.run()
    assert execution.status is ExecutionStatus.COMPLETED
    assert [request.step_id for request in world.asked] == ["one", "two"]
    assert world.events() == [
        "execution_created",
        "execution_started",
        "step_started",
        "step_completed",
        "step_started",
        "step_completed",
        "complete",
    ]


async def test_a_step_reads_what_the_step_before_it_made() -> None:
    world = await World(script={"one": [document("Made by the first")]}).start()
    execution = await world.run()
    assert "Made by the first" in world.asked[1].prompt
    assert [pin.version for pin in execution.steps["two"].input_versions] == [1]


async def test_independent_steps_run_side_by_side() -> None:
    left, right = Gate(document()), Gate(document())
    world = await World(FORK, {"left": [left], "right": [right]}).start()
    running = asyncio.create_task(world.run())
    await asyncio.gather(left.reached.wait(), right.reached.wait())  # neither waits for the other
    left.opened.set()
    right.opened.set()
    assert (await running).status is ExecutionStatus.COMPLETED


async def test_invalid_output_is_sent_back_with_exactly_its_violations() -> None:
    world = await World(script={"one": [invalid(), document()]}).start()
    execution = await world.run()
    assert execution.status is ExecutionStatus.COMPLETED
    second = world.asked[1]
    assert "at `/title`" in second.prompt
    assert "at `/points`" in second.prompt
    assert '"points": []' in second.prompt  # what it was that was wrong
    assert world.events("one") == ["step_started", "remediation_started", "step_completed"]
    assert execution.steps["one"].attempt == 2


async def test_output_that_stays_invalid_fails_after_the_attempts_that_the_step_allows() -> None:
    world = await World(script={"one": [invalid(), invalid(), invalid(), document()]}).start()
    execution = await world.run()
    assert execution.status is ExecutionStatus.FAILED
    assert execution.failure is not None
    assert execution.failure.code is FailureCode.VALIDATION_EXHAUSTED
    assert len(world.asked) == 3
    assert execution.steps["two"].status is StepStatus.SKIPPED
    assert world.events()[-3:] == ["step_failed", "step_skipped", "complete"]


@pytest.mark.parametrize(
    ("finish", "code"),
    [("refused", FailureCode.MODEL_REFUSED), ("truncated", FailureCode.OUTPUT_TRUNCATED)],
)
async def test_what_cannot_be_repaired_is_not_tried_again(finish: str, code: FailureCode) -> None:
    world = await World(script={"one": [reply(text="No.", finish=finish)]}).start()  # type: ignore[arg-type]
    execution = await world.run()
    assert execution.failure is not None
    assert execution.failure.code is code
    assert len(world.asked) == 1
    assert world.calls() == [("one", "committed")]  # it was paid for all the same


async def test_a_model_that_cannot_be_asked_fails_its_step_with_the_reason() -> None:
    error = ModelError(FailureCode.PROVIDER_REJECTED, "The key is wrong.")
    world = await World(script={"one": [error]}).start()
    execution = await world.run()
    assert execution.failure is not None
    assert execution.failure.message == "The key is wrong."
    assert world.calls() == [("one", "failed")]


async def test_a_bug_fails_its_step_and_is_not_met_again(caplog: pytest.LogCaptureFixture) -> None:
    world = await World(script={"one": [RuntimeError("secret detail")]}).start()
    execution = await world.run()
    assert execution.failure is not None
    assert execution.failure.code is FailureCode.INTERNAL
    assert "secret detail" not in execution.failure.message
    assert "secret detail" in caplog.text


async def test_after_a_failure_steps_at_work_finish_and_nothing_new_starts() -> None:
    right = Gate(document())

    async def fail_once_the_other_is_at_work(_request: ModelRequest) -> ModelReply:
        await right.reached.wait()
        raise ModelError(FailureCode.TIMED_OUT, "Late.")

    world = await World(FORK, {"left": [fail_once_the_other_is_at_work], "right": [right]}).start()
    running = asyncio.create_task(world.run())
    await right.reached.wait()
    while (await world.now()).steps["left"].status is not StepStatus.FAILED:
        await asyncio.sleep(0)
    assert (await world.now()).status is ExecutionStatus.RUNNING
    right.opened.set()
    execution = await running
    assert execution.status is ExecutionStatus.FAILED
    assert execution.steps["right"].status is StepStatus.COMPLETED
    assert execution.steps["join"].status is StepStatus.SKIPPED


async def test_a_question_waits_and_its_answer_goes_on() -> None:
    world = await World(ASKING, {"one": [question(), document()]}).start()
    waiting = await world.run()
    assert waiting.status is ExecutionStatus.WAITING
    assert waiting.claimed_by is None
    assert world.events()[-2:] == ["clarification_needed", "execution_waiting"]
    resumed = await world.answer("one", {"one.1.1": "Twelve"})
    assert resumed.status is ExecutionStatus.RUNNING
    completed = await world.run("b")
    assert completed.status is ExecutionStatus.COMPLETED
    assert "Twelve" in world.asked[1].prompt
    assert world.asked[0].max_questions == 5
    assert world.asked[1].max_questions == 0  # one round was allowed
    answers = world.documents.versions[completed.scope.id, "one"][0].provenance["answers"]
    assert answers == [
        {
            "question_id": "one.1.1",
            "round": 1,
            "question": "How many?",
            "answer": "Twelve",
            "answered_by": "ann",
            "answered_at": "2026-01-01T00:00:00.000Z",
        }
    ]


async def test_a_step_that_may_not_ask_any_more_and_does_is_sent_back() -> None:
    world = await World(script={"one": [question(), document()]}).start()
    execution = await world.run()
    assert execution.status is ExecutionStatus.COMPLETED
    assert world.events("one") == ["step_started", "remediation_started", "step_completed"]


async def test_answers_count_once() -> None:
    world = await World(ASKING, {"one": [question(), document()]}).start()
    await world.run()
    await world.answer("one", {"How many?": "Twelve"})
    with pytest.raises(NotWaiting):
        await world.answer("one", {"How many?": "Thirteen"})


async def test_while_one_branch_waits_the_others_go_on() -> None:
    forked = definition(
        {"id": "left", "clarification": {}}, {"id": "right"}, {"id": "join", "inputs": ["left", "right"]}
    )
    right = Gate(document())
    world = await World(forked, {"left": [question()], "right": [right]}).start()
    runner = world.runner()
    running = asyncio.create_task(runner.run())
    await right.reached.wait()
    while (await world.now()).steps["left"].status is not StepStatus.WAITING:
        await asyncio.sleep(0)
    assert (await world.now()).status is ExecutionStatus.RUNNING
    await world.answer("left", {"left.1.1": "Twelve"})
    await runner.refresh()  # the worker's watch noticed
    while (await world.now()).steps["left"].status is not StepStatus.COMPLETED:
        await asyncio.sleep(0)
    right.opened.set()
    assert (await running).status is ExecutionStatus.COMPLETED
    assert "execution_waiting" not in world.events()
    world.check()


async def test_a_cancel_ends_the_call_under_way_and_keeps_it_in_the_books() -> None:
    gate = Gate(document())
    world = await World(script={"one": [gate]}).start()
    runner = world.runner()
    running = asyncio.create_task(runner.run())
    await gate.reached.wait()
    await world.cancel()
    await runner.refresh()
    execution = await running
    assert execution.status is ExecutionStatus.CANCELLED
    assert world.calls() == [("one", "discarded")]
    assert world.events()[-3:] == ["step_cancelled", "step_cancelled", "complete"]
    assert not world.documents.versions


async def test_a_reply_that_comes_after_the_cancel_is_booked_and_changes_nothing() -> None:
    gate = Gate(document())
    world = await World(script={"one": [gate]}).start()
    running = asyncio.create_task(world.run())
    await gate.reached.wait()
    cancelled = await world.cancel()
    gate.opened.set()  # before anyone told the runner
    await running
    assert (await world.now()).version == cancelled.version
    assert world.calls() == [("one", "discarded")]
    [call] = world.ledger.rows.values()
    assert call.reply is not None
    assert call.reply.cost_usd is not None
    assert not world.documents.versions


async def test_a_runner_that_was_overtaken_writes_nothing() -> None:
    gate = Gate(document("Of the overtaken"))
    world = await World(script={"one": [gate]}).start()
    overtaken = asyncio.create_task(world.run("a"))
    await gate.reached.wait()
    completed = await world.run("b")
    assert completed.status is ExecutionStatus.COMPLETED
    gate.opened.set()
    await overtaken
    assert (await world.now()).version == completed.version
    assert ("one", "discarded") in world.calls()
    titles = {version.title for versions in world.documents.versions.values() for version in versions}
    assert titles == {"Title of one", "Title of two"}


async def test_what_a_dead_runner_left_is_taken_up_and_its_call_is_reported_as_unknown() -> None:
    gate = Gate(document())
    world = await World(script={"one": [gate]}).start()
    dead = asyncio.create_task(world.runner("a").run())
    await gate.reached.wait()
    completed = await world.run("b")  # the first runner gets no notification: it is gone
    assert completed.status is ExecutionStatus.COMPLETED
    assert world.calls()[:2] == [("one", "unknown"), ("one", "committed")]
    dead.cancel()
    await asyncio.gather(dead, return_exceptions=True)


async def test_a_reply_that_was_paid_for_is_used_and_not_bought_again() -> None:
    gate = Gate(document())
    world = await World(script={"one": [gate]}).start()
    dead = asyncio.create_task(world.runner("a").run())
    await gate.reached.wait()
    [call] = world.ledger.rows.values()
    # The runner stored the reply, and died before it could decide anything from it.
    await world.ledger.settle(replace(call, status=CallStatus.COMMITTED, reply=document("Bought once")))
    completed = await world.run("b")
    assert completed.status is ExecutionStatus.COMPLETED
    assert [request.step_id for request in world.asked] == ["one", "two"]
    assert world.documents.versions[completed.scope.id, "one"][0].title == "Bought once"
    dead.cancel()
    await asyncio.gather(dead, return_exceptions=True)


async def test_a_runner_that_is_stopped_hands_the_execution_back() -> None:
    gate = Gate(document())
    world = await World(script={"one": [gate]}).start()
    running = asyncio.create_task(world.runner("a").run())
    await gate.reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    handed_back = await world.now()
    assert handed_back.status is ExecutionStatus.RUNNING
    assert handed_back.claimed_by is None
    assert world.calls() == [("one", "unknown")]
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED


async def test_one_step_can_be_run_alone() -> None:
    world = await World().start()
    execution = await world.runner().step()
    assert execution.status is ExecutionStatus.RUNNING
    assert execution.claimed_by is None
    assert [step.status for step in execution.steps.values()] == [StepStatus.COMPLETED, StepStatus.PENDING]
    assert (await world.runner().step()).status is ExecutionStatus.COMPLETED


async def test_a_superfluous_run_changes_nothing() -> None:
    world = await World().start()
    completed = await world.run()
    assert await world.run("late") == completed
    assert len(world.asked) == 2


async def test_the_cost_of_a_step_counts_every_attempt() -> None:
    world = await World(script={"one": [invalid(), document()]}).start()
    await world.run()
    log = world.journal.log[world.execution_id]
    [first] = [event for event in log if event.event_type == "step_completed" and event.step_id == "one"]
    assert first.data["cost_usd"] == "0.0200000000"
    assert log[-1].data["totals"]["cost_usd"] == "0.0300000000"  # type: ignore[index,call-overload]


async def test_an_unknown_price_makes_the_sum_unknown_and_keeps_the_known_part() -> None:
    unpriced = document().model_copy(update={"cost_usd": None})
    world = await World(script={"two": [unpriced]}).start()
    await world.run()
    totals = world.journal.log[world.execution_id][-1].data["totals"]
    assert isinstance(totals, dict)
    assert totals["cost_usd"] is None
    assert totals["known_cost_usd"] == "0.0100000000"
    assert totals["cost_complete"] is False


async def test_an_answer_that_another_step_has_met_is_taken_up_without_a_look_at_the_database() -> None:
    beside = definition({"id": "left", "clarification": {"max_rounds": 1}}, {"id": "right"})
    first, second = Gate(invalid()), Gate(document())
    world = await World(beside, {"left": [question()], "right": [first, second]}).start()
    runner = world.runner()
    running = asyncio.create_task(runner.run())
    await first.under_way()
    while (await world.now()).steps["left"].status is not StepStatus.WAITING:
        await asyncio.sleep(0)
    await world.answer("left", {"left.1.1": "Twelve"})
    first.opened.set()
    await second.under_way()  # what was stored for this had the answer beside it
    runner.catch_up()
    while (await world.now()).steps["left"].status is not StepStatus.COMPLETED:
        await asyncio.sleep(0)
    second.opened.set()
    assert (await running).status is ExecutionStatus.COMPLETED


async def test_a_runner_without_take_over_leaves_a_claimed_execution_alone() -> None:
    gate = Gate(document())
    world = await World(LINE, {"one": [gate]}).start()
    running = asyncio.create_task(world.runner("a").run())
    await gate.under_way()
    before = await world.now()
    with pytest.raises(AlreadyClaimed):
        await world.runner("b").run(take_over=False)
    assert await world.now() == before
    gate.opened.set()
    assert (await running).status is ExecutionStatus.COMPLETED
