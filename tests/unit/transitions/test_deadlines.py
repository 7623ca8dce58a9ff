"""Questions without an answer in time: defaults are used, the step fails, or nothing happens; exactly once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from pydantic import JsonValue

from executions.engine.domain.clarification import BY_DEADLINE
from executions.engine.domain.errors import IllegalTransition, NotWaiting
from executions.engine.domain.execution import Execution, step_transition, with_timers
from executions.engine.domain.states import ExecutionStatus, FailureCode, Limit, StepStatus
from executions.engine.transitions import clarification, core
from tests.factories.collections import collection, items, over
from tests.factories.engine import Gate, World, definition, document, question, reply
from tests.factories.provider_outages import clock
from workflows.definitions.definition import WorkflowDefinition

SECONDS = 60


def asking_until(on_deadline: str, **more: Any) -> WorkflowDefinition:
    """Return a line whose first step waits a minute for answers."""
    policy = {"deadline_seconds": SECONDS, "on_deadline": on_deadline}
    return definition({"id": "one", "clarification": policy, **more}, {"id": "two", "inputs": ["one"]})


async def expire(world: World) -> Execution:
    """Apply the deadlines, as workers do periodically."""
    return await world.decide(lambda execution, context: clarification.expire(execution, context=context))


async def waiting(on_deadline: str, **asked: Any) -> World:
    """Return a world that waits for the answer to one question."""
    world = await World(asking_until(on_deadline), {"one": [question(**asked), document()]}).start()
    await world.run()
    return world


async def test_the_deadline_is_told_with_the_questions() -> None:
    world = await waiting("fail")
    execution = await world.now()
    asked = execution.steps["one"].open_round
    assert asked is not None
    assert asked.expires_at is not None
    assert (asked.expires_at - asked.asked_at).total_seconds() == SECONDS
    assert execution.deadline_at == asked.expires_at
    told = next(each for each in world.journal.log[world.execution_id] if each.event_type == "clarification_needed")
    assert (told.data["expires_at"], told.data["on_deadline"]) == ("2026-01-01T00:01:00.000Z", "fail")


async def test_nothing_happens_before_the_moment_and_it_happens_once() -> None:
    world = await waiting("defaults", default="ten")
    clock(world).advance(SECONDS - 1)
    with pytest.raises(NotWaiting):
        await expire(world)
    clock(world).advance(1)
    expired = await expire(world)
    assert (expired.status, expired.deadline_at) == (ExecutionStatus.RUNNING, None)
    with pytest.raises(NotWaiting):
        await expire(world)


async def test_defaults_stand_in_and_say_that_it_was_the_deadline() -> None:
    world = await waiting("defaults", default="ten")
    clock(world).advance(SECONDS)
    await expire(world)
    completed = await world.run("b")
    assert completed.status is ExecutionStatus.COMPLETED
    [asked] = completed.steps["one"].rounds
    assert (asked.answers, asked.answered_by, asked.answered_at) == ({"one.1.1": "ten"}, BY_DEADLINE, asked.expires_at)
    told = [each for each in world.journal.log[world.execution_id] if each.event_type == "clarification_answered"]
    assert [each.data for each in told] == [{"answered_by": BY_DEADLINE}]
    assert world.events()[5:7] == ["clarification_answered", "execution_resumed"]
    assert "ten" in world.asked[1].prompt
    made = world.documents.versions[completed.scope.id, "one"][0].provenance
    assert [each["answered_by"] for each in made["answers"]] == [BY_DEADLINE]  # type: ignore[union-attr, index, call-overload]


def test_no_user_can_be_called_as_the_deadline_is() -> None:
    with pytest.raises(ValidationError):
        UnicodeUsernameValidator()(BY_DEADLINE)


@pytest.mark.parametrize(("on_deadline", "asked"), [("fail", {"default": "ten"}), ("defaults", {})])
async def test_the_step_fails_where_it_shall_or_has_to(on_deadline: str, asked: dict[str, Any]) -> None:
    world = await waiting(on_deadline, **asked)
    clock(world).advance(SECONDS)
    failed = await expire(world)
    assert (failed.status, failed.deadline_at) == (ExecutionStatus.FAILED, None)
    assert failed.failure is not None
    assert failed.failure.code is FailureCode.QUESTION_EXPIRED
    assert "2026-01-01T00:01:00.000Z" in failed.failure.message
    assert failed.steps["two"].status is StepStatus.SKIPPED
    assert world.events()[5:] == ["step_failed", "execution_resumed", "step_skipped", "complete"]


async def test_a_question_that_may_stay_open_needs_no_default() -> None:
    world = await waiting("defaults", required=False)
    clock(world).advance(SECONDS)
    assert (await expire(world)).steps["one"].rounds[0].answers == {}
    await world.run("b")
    assert "This question has no answer." in world.asked[1].prompt


async def test_to_wait_all_the_same_is_for_people_to_see() -> None:
    world = await waiting("wait", default="ten")
    execution = await world.now()
    assert execution.deadline_at is None
    assert execution.steps["one"].rounds[0].expires_at is not None
    clock(world).advance(SECONDS * 1000)
    with pytest.raises(NotWaiting):
        await expire(world)
    assert (await world.answer("one", {"one.1.1": "two"})).deadline_at is None


async def test_an_answer_takes_the_deadline_away() -> None:
    world = await waiting("fail")
    answered = await world.answer("one", {"one.1.1": "two"})
    assert answered.deadline_at is None
    clock(world).advance(SECONDS)
    with pytest.raises(NotWaiting):
        await expire(world)
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED


async def test_an_answer_that_comes_late_and_first_counts() -> None:
    world = await waiting("fail")
    clock(world).advance(SECONDS + 1)
    assert (await world.answer("one", {"one.1.1": "two"})).steps["one"].rounds[0].answered_by == "ann"


@pytest.mark.parametrize("on_deadline", ["defaults", "fail"])
async def test_who_comes_after_the_deadline_is_told_so(on_deadline: str) -> None:
    world = await waiting(on_deadline, default="ten")
    clock(world).advance(SECONDS)
    await expire(world)
    with pytest.raises(NotWaiting):
        await world.answer("one", {"one.1.1": "two"})


async def test_a_retry_asks_again_and_gives_as_much_time_as_before() -> None:
    world = await waiting("fail")
    clock(world).advance(SECONDS)
    await expire(world)
    clock(world).advance(1000)
    retried = await world.retry()
    asked = retried.steps["one"].open_round
    assert asked is not None
    assert (retried.status, retried.steps["one"].failure) == (ExecutionStatus.WAITING, None)
    assert retried.deadline_at == asked.expires_at
    assert asked.asked_at == clock(world).now()
    told = [each for each in world.journal.log[world.execution_id] if each.event_type == "clarification_needed"]
    assert told[1].data["expires_at"] == "2026-01-01T00:18:40.000Z"
    assert told[1].data["questions"] == told[0].data["questions"]
    clock(world).advance(SECONDS)
    assert (await expire(world)).status is ExecutionStatus.FAILED
    await world.retry()
    await world.answer("one", {"one.1.1": "two"})
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED


async def test_a_cancelled_execution_is_left_alone_and_has_its_time_again_after_a_retry() -> None:
    world = await waiting("defaults", default="ten")
    assert (await world.cancel()).deadline_at is None
    clock(world).advance(SECONDS * 10)
    with pytest.raises(NotWaiting):
        await expire(world)
    retried = await world.retry()
    assert retried.deadline_at is not None
    assert (retried.deadline_at - clock(world).now()).total_seconds() == SECONDS


async def test_to_begin_the_step_anew_forgets_the_deadline() -> None:
    world = await waiting("fail")
    clock(world).advance(SECONDS)
    await expire(world)
    anew = await world.retry("one")
    assert (anew.deadline_at, anew.steps["one"].rounds) == (None, ())
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED


async def test_the_first_of_several_deadlines_counts_and_others_stay() -> None:
    policies = [{"deadline_seconds": seconds, "on_deadline": "defaults"} for seconds in (100, 50)]
    fork = definition(
        {"id": "left", "clarification": policies[0]},
        {"id": "right", "clarification": policies[1]},
        {"id": "join", "inputs": ["left", "right"]},
    )
    script = {"left": [question(default="x"), document()], "right": [question(default="y"), document()]}
    world = await World(fork, script).start()  # type: ignore[arg-type]
    await world.run()
    clock(world).advance(50)
    first = await expire(world)
    assert [first.steps[each].status for each in ("left", "right")] == [StepStatus.WAITING, StepStatus.PENDING]
    assert first.deadline_at == first.steps["left"].rounds[0].expires_at
    clock(world).advance(50)
    second = await expire(world)
    assert (second.steps["left"].status, second.deadline_at) == (StepStatus.PENDING, None)
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED


async def test_a_deadline_passes_while_another_step_is_at_work_and_nothing_new_starts() -> None:
    policy = {"deadline_seconds": SECONDS, "on_deadline": "fail"}
    fork = definition({"id": "left", "clarification": policy}, {"id": "right"}, {"id": "join", "inputs": ["right"]})
    right = Gate(document())
    world = await World(fork, {"left": [question()], "right": [right]}).start()
    runner = world.runner()
    running = asyncio.create_task(runner.run())
    await right.under_way()
    while (await world.now()).steps["left"].status is not StepStatus.WAITING:
        await asyncio.sleep(0)
    clock(world).advance(SECONDS)
    expired = await expire(world)
    assert (expired.status, expired.steps["left"].status) == (ExecutionStatus.RUNNING, StepStatus.FAILED)
    await runner.refresh()
    right.opened.set()
    ended = await running
    assert (ended.status, ended.steps["right"].status) == (ExecutionStatus.FAILED, StepStatus.COMPLETED)
    assert ended.steps["join"].status is StepStatus.SKIPPED


async def test_an_item_whose_question_expires_is_left_out_where_the_workflow_goes_on_without_it() -> None:
    over_epics = over("epics", "epic", on_item_failure="skip")
    made = definition(
        {"id": "epics", "output_schema": collection("epics")},
        {"id": "design", "for_each": over_epics, "clarification": {"deadline_seconds": SECONDS, "on_deadline": "fail"}},
        {"id": "check", "for_each": over_epics, "inputs": ["design"]},
    )
    script = {"epics": [items("epics", "a", "b")], "design@a": [question()]}
    world = await World(made, script).start()  # type: ignore[arg-type]
    await world.run()
    clock(world).advance(SECONDS)
    ended = await expire(world)
    assert ended.status is ExecutionStatus.COMPLETED
    assert [ended.steps[each].status.value for each in ("design@a", "check@a", "check@b")] == [
        "failed",
        "skipped",
        "completed",
    ]
    told = [each for each in world.journal.log[world.execution_id] if each.event_type == "step_skipped"]
    assert [(each.step_id, each.data["reason"]) for each in told] == [("check@a", "step design@a is failed")]


async def test_nothing_else_fails_a_step_that_waits_for_answers() -> None:
    world = await waiting("fail")
    execution = core.resume(core.Change(execution=await world.now()), core.Context(now=clock(world).now()))
    for status in (StepStatus.FAILED, StepStatus.COMPLETED, StepStatus.REMEDIATING):
        with pytest.raises(IllegalTransition):
            step_transition(execution.execution, "one", status, now=clock(world).now())
    late = clock(world).now() + timedelta(seconds=SECONDS)
    assert step_transition(execution.execution, "one", StepStatus.FAILED, now=late).steps["one"].finished_at == late
    for status in (StepStatus.COMPLETED, StepStatus.REMEDIATING):
        with pytest.raises(IllegalTransition):
            step_transition(execution.execution, "one", status, now=late)


async def test_only_what_is_deferred_has_a_moment_to_go_on() -> None:
    world = await waiting("fail")
    execution = await world.now()
    early, moment = clock(world).now(), clock(world).now() + timedelta(seconds=1)
    waits = {"status": StepStatus.WAITING, "rounds": ()}
    held = replace(execution.steps["one"], **waits, resume_at=early, blocked_by_limit=Limit.COST)  # type: ignore[arg-type]
    deferred = replace(execution.steps["two"], **waits, resume_at=moment)  # type: ignore[arg-type]
    known = with_timers(execution.with_steps((held, deferred)))
    assert (known.resume_at, known.deadline_at) == (moment, None)


# --- answers that come again -----------------------------------------------------------------------------------------


async def test_answers_are_about_the_round_that_they_name() -> None:
    two = definition({"id": "one", "clarification": {"max_rounds": 2}})
    world = await World(two, {"one": [question("Who?"), question("When?"), document()]}).start()
    await world.run()
    await world.answer("one", {"one.1.1": "Ann"})
    step = (await world.run("b")).steps["one"]
    for again in ({"one.1.1": "Ann"}, {"Who?": "Ann"}):
        assert clarification.is_same_answer(step, again)
    for other in ({"one.1.1": "Bob"}, {"Who?": "Bob"}):
        assert not clarification.is_same_answer(step, other)
        with pytest.raises(NotWaiting):
            await world.answer("one", other)
    for open_one in ({"one.2.1": "Monday"}, {"When?": "Monday"}, {}):
        assert not clarification.is_same_answer(step, open_one)
    assert (await world.answer("one", {"When?": "Monday"})).steps["one"].rounds[1].answers == {"one.2.1": "Monday"}


async def test_the_same_answers_are_the_same_however_they_are_said() -> None:
    choices = [{"value": each, "label": each.upper()} for each in "abc"]
    drafts = [
        {"text": "Which?", "answer_type": "multi_choice", "choices": choices},
        {"text": "How many?", "answer_type": "number", "default": 7},
        {"text": "Anything else?", "required": False},
    ]
    asked = reply(question().tool_calls[0].model_copy(update={"arguments": {"questions": drafts}}))
    world = await World(asking_until("wait"), {"one": [asked]}).start()
    await world.run()
    step = (await world.answer("one", {"one.1.1": ["c", "a"]})).steps["one"]
    same: tuple[dict[str, JsonValue], ...] = (
        {"Which?": ["a", "c"]},
        {"one.1.1": ["c", "a"], "one.1.2": 7.0, "Anything else?": ""},
        {"one.1.1": ["a", "c"], "How many?": None},
    )
    for again in same:
        assert clarification.is_same_answer(step, again)
    others: tuple[dict[str, JsonValue], ...] = (
        {},
        {"one.1.1": ["a"]},
        {"one.1.1": ["a", "c"], "one.1.2": 8},
        {"one.1.1": ["a", "c"], "x": 1},
    )
    for other in others:
        assert not clarification.is_same_answer(step, other)
