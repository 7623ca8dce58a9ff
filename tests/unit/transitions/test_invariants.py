"""Random commands in random order: rejected ones change nothing, accepted ones keep the invariants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from common.errors import DomainError, FieldError
from executions.engine.domain.clarification import QuestionDraft
from executions.engine.domain.events import Event, EventType, ProgressEvent
from executions.engine.domain.execution import Document, Execution, Failure, ScopeRef
from executions.engine.domain.states import (
    ENDED,
    EXECUTION_TRANSITIONS,
    STEP_TRANSITIONS,
    UNFINISHED,
    WORKING,
    ExecutionStatus,
    FailureCode,
    StepStatus,
)
from executions.engine.transitions import claims, clarification, core
from executions.engine.transitions.core import Change, Context, number_events
from executions.engine.transitions.planner import new_execution, ready_steps
from tests.factories.engine import FORK, SCHEMA

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAILURE = Failure(code=FailureCode.TIMED_OUT, message="Late.")
FAULTS = (FieldError(pointer="/title", code="type", detail="Wrong."),)
ASKED = (QuestionDraft(text="How many?"),)
DOCUMENT = Document(
    id=uuid7(),
    scope_id=uuid7(),
    type="left",
    version=1,
    title="T",
    content={"title": "T"},
    schema=SCHEMA,
    execution_id=None,
    step_id="left",
    created_at=NOW,
)
CONTEXT = Context(now=NOW, document=DOCUMENT)

Happening = Callable[[Execution, str], Change]
HAPPENINGS: dict[str, Happening] = {
    "claim": lambda execution, _: claims.claim(execution, worker="a", max_recoveries=5, context=CONTEXT),
    "release": lambda execution, _: claims.release(execution, context=CONTEXT),
    "start": lambda execution, step: core.start_step(execution, step, model="m", input_versions=(), context=CONTEXT),
    "remediate": lambda execution, step: core.remediate(execution, step, violations=FAULTS, context=CONTEXT),
    "complete": lambda execution, step: core.complete_step(execution, step, context=CONTEXT),
    "fail": lambda execution, step: core.fail_step(execution, step, FAILURE, context=CONTEXT),
    "ask": lambda execution, step: clarification.ask(execution, step, questions=ASKED, context=CONTEXT),
    "answer": lambda execution, step: clarification.answer(
        execution, step, {"How many?": "Twelve"}, answered_by="ann", context=CONTEXT
    ),
    "cancel": lambda execution, _: core.cancel(execution, context=CONTEXT),
}
#: Cancels are rare, or few stories would get far.
STORIES = st.lists(
    st.tuples(
        st.sampled_from([*HAPPENINGS, "start", "complete", "start", "complete", "answer"]), st.sampled_from([*"lrj"])
    ),
    max_size=40,
)
STEPS = {"l": "left", "r": "right", "j": "join"}


def fresh() -> Execution:
    """Return an execution that was just accepted."""
    scope = ScopeRef(id=uuid7(), type="project", key="p")
    return new_execution(FORK, execution_id=uuid7(), workflow_version=1, scope=scope, brief="b", now=NOW)


def may_happen(execution: Execution, name: str, step_id: str) -> bool:
    """Whether a worker or a person would try the move: no step starts without its inputs."""
    if name == "start":
        return step_id in {step.step_id for step in ready_steps(execution)}
    return name != "release" or execution.status is ExecutionStatus.RUNNING


@given(story=STORIES)
def test_every_story_keeps_the_tables_the_numbers_and_the_sense(story: list[tuple[str, str]]) -> None:
    accepted = fresh()
    execution, log = number_events(core.create(accepted), current=replace(accepted, version=0), now=NOW)
    for name, letter in [("claim", "l"), *story]:
        if not may_happen(execution, name, STEPS[letter]):
            continue
        try:
            change = HAPPENINGS[name](execution, STEPS[letter])
        except DomainError:
            continue
        stored, events = number_events(change, current=execution, now=NOW)
        check_moves(execution, stored)
        check_sense(stored)
        log = (*log, *events)
        execution = stored
    check_log(execution, log)


def reachable(status: StepStatus) -> set[StepStatus]:
    """Return where one change may lead: a step that asks after another has failed waits and is skipped at once."""
    following = {status} | STEP_TRANSITIONS[status]
    return {each for between in following for each in STEP_TRANSITIONS[between]} | following


def check_moves(before: Execution, after: Execution) -> None:
    """Every status moved along its table, possibly several moves at once; nothing that ended moved."""
    assert after.version == before.version + 1
    assert before.status not in ENDED
    assert after.status is before.status or after.status in EXECUTION_TRANSITIONS[before.status]
    for step_id, step in after.steps.items():
        was = before.steps[step_id]
        assert step.status in reachable(was.status)
        assert (step.version > was.version) or step == was
        assert step.attempt >= was.attempt


def check_sense(execution: Execution) -> None:
    """The execution's status is what its steps make it."""
    statuses = {step.status for step in execution.steps.values()}
    if execution.status in ENDED:
        assert not statuses & UNFINISHED
        assert execution.finished_at is not None
    if execution.status is ExecutionStatus.COMPLETED:
        assert statuses == {StepStatus.COMPLETED}
    if execution.status is ExecutionStatus.FAILED:
        assert execution.failure == FAILURE
    if execution.status is ExecutionStatus.WAITING:
        assert StepStatus.WAITING in statuses
        assert not statuses & WORKING
        assert not ready_steps(execution)
        assert execution.claimed_by is None
    if execution.status is ExecutionStatus.RUNNING:
        assert statuses & WORKING or ready_steps(execution)


def check_log(execution: Execution, log: tuple[ProgressEvent, ...]) -> None:
    """The log has no gaps, and tells the end once, last."""
    assert [event.sequence for event in log] == list(range(1, execution.last_sequence + 1))
    ends = [event.sequence for event in log if event.event_type is EventType.COMPLETE]
    assert ends == ([execution.last_sequence] if execution.ended else [])


def _waiting() -> Execution:
    execution = claims.claim(fresh(), worker="a", max_recoveries=5, context=CONTEXT).execution
    for step in ("left", "right"):
        execution = core.start_step(execution, step, model="m", input_versions=(), context=CONTEXT).execution
        execution = clarification.ask(execution, step, questions=ASKED, context=CONTEXT).execution
    return execution


def test_an_execution_waits_only_when_nothing_else_goes_on() -> None:
    execution = _waiting()
    assert execution.status is ExecutionStatus.WAITING
    answered = clarification.answer(execution, "left", {"left.1.1": "x"}, answered_by="ann", context=CONTEXT)
    assert [event.event_type.value for event in answered.events] == ["clarification_answered", "execution_resumed"]
    again = clarification.answer(answered.execution, "right", {"right.1.1": "x"}, answered_by="ann", context=CONTEXT)
    assert [event.event_type.value for event in again.events] == ["clarification_answered"]


def test_nothing_starts_after_a_failure() -> None:
    execution = claims.claim(fresh(), worker="a", max_recoveries=5, context=CONTEXT).execution
    assert [step.step_id for step in ready_steps(execution)] == ["left", "right"]
    execution = core.start_step(execution, "left", model="m", input_versions=(), context=CONTEXT).execution
    failed = StepStatus.FAILED
    execution = execution.with_step(replace(execution.steps["left"], status=failed, failure=FAILURE))
    assert ready_steps(execution) == ()


def test_a_step_that_asks_after_another_has_failed_is_skipped() -> None:
    execution = claims.claim(fresh(), worker="a", max_recoveries=5, context=CONTEXT).execution
    for step in ("left", "right"):
        execution = core.start_step(execution, step, model="m", input_versions=(), context=CONTEXT).execution
    execution = core.fail_step(execution, "left", FAILURE, context=CONTEXT).execution
    assert execution.status is ExecutionStatus.RUNNING  # the other is still at work
    ended = clarification.ask(execution, "right", questions=ASKED, context=CONTEXT).execution
    assert ended.status is ExecutionStatus.FAILED
    assert ended.steps["right"].status is StepStatus.SKIPPED


def test_a_cancel_stops_every_step_and_gives_up_every_call() -> None:
    change = core.cancel(_waiting(), context=CONTEXT)
    assert change.discard_pending_calls
    assert {step.status for step in change.execution.steps.values()} == {StepStatus.CANCELLED}
    assert [event.event_type.value for event in change.events] == [*["step_cancelled"] * 3, "complete"]


def test_a_claim_raises_the_epoch_every_time() -> None:
    first = claims.claim(fresh(), worker="a", max_recoveries=5, context=CONTEXT)
    second = claims.claim(first.execution, worker="b", max_recoveries=5, context=CONTEXT)
    assert (first.execution.fencing_token, second.execution.fencing_token) == (1, 2)
    assert [event.event_type.value for event in first.events] == ["execution_started"]
    assert second.events == ()


def test_every_event_type_has_a_class() -> None:
    assert {each.event_type for each in Event.__subclasses__()} == set(EventType)
