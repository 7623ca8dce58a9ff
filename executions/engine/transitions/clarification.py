"""Putting questions to people, taking their answers, and what happens when nobody answers in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from pydantic import JsonValue

from common.time import format_rfc3339
from executions.engine.domain.answer_validation import check_answers, keys_of_questions
from executions.engine.domain.clarification import BY_DEADLINE, ClarificationRound, QuestionDraft, number_questions
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import InvalidAnswers, NotFound, NotWaiting, unknown_step_message
from executions.engine.domain.events import ClarificationAnswered, ClarificationNeeded
from executions.engine.domain.execution import Execution, Failure, Step, step_transition, with_timers
from executions.engine.domain.states import FailureCode, StepStatus, WaitingOn
from executions.engine.transitions.core import Change, Context, derive_status, mark_failed, resume, skip_dependents
from executions.engine.transitions.planner import step_order
from workflows.definitions.definition import ClarificationPolicy, OnDeadline


def ask(
    execution: Execution,
    step_id: str,
    *,
    questions: tuple[QuestionDraft, ...],
    policy: ClarificationPolicy | None = None,
    context: Context,
) -> Change:
    """Put a step's questions to people, for as long as the step's policy says.

    Raises:
        IllegalTransition: the step is not working, or the execution has ended.
    """
    execution = step_transition(execution, step_id, StepStatus.WAITING, now=context.now)
    step = execution.steps[step_id]
    number = len(step.rounds) + 1
    seconds = None if policy is None else policy.deadline_seconds
    asked = ClarificationRound(
        number=number,
        questions=number_questions(step_id, number, questions),
        asked_at=context.now,
        expires_at=None if seconds is None else context.now + timedelta(seconds=seconds),
        on_deadline=None if policy is None or seconds is None else policy.on_deadline,
    )
    execution = with_timers(execution.with_step(replace(step, rounds=(*step.rounds, asked))))
    return derive_status(Change(execution=execution, events=(clarification_event(step_id, asked),)), context)


def clarification_event(step_id: str, asked: ClarificationRound) -> ClarificationNeeded:
    """Return the event that tells of a step's open questions."""
    expires_at = None if asked.expires_at is None else format_rfc3339(asked.expires_at)
    return ClarificationNeeded(
        step_id=step_id, questions=asked.questions, expires_at=expires_at, on_deadline=asked.on_deadline
    )


def answer(
    execution: Execution, step_id: str, answers: Mapping[str, JsonValue], *, answered_by: str, context: Context
) -> Change:
    """Close a step's open questions; the step is ready again.

    Raises:
        NotFound: there is no such step.
        NotWaiting: it asks nothing (any more), or not what is answered.
        InvalidAnswers: some answers do not fit; nothing changes.
    """
    step = execution.steps.get(step_id)
    if step is None:
        raise NotFound(unknown_step_message(step_id, execution.steps))
    asked = _addressed(step.rounds, answers)
    if execution.ended or step.waits_for is not WaitingOn.CLARIFICATION or asked is None or asked.answers is not None:
        raise NotWaiting(f"Step {step_id} does not wait for these answers.", status=step.status)
    checked = check_answers(asked.questions, answers)
    change = _closed(Change(execution=execution), step_id, checked, by=answered_by, context=context)
    return derive_status(resume(change, context), context)


def is_same_answer(step: Step, answers: Mapping[str, JsonValue]) -> bool:
    """Whether the questions that these answers are about were closed with the very same, however they are named."""
    asked = _addressed(step.rounds, answers)
    if asked is None or asked.answers is None:
        return False
    try:
        return check_answers(asked.questions, answers) == asked.answers
    except InvalidAnswers:
        return False


def expire(execution: Execution, *, context: Context) -> Change:
    """Do what has to happen with questions that nobody answered in time: the defaults stand in, or the step fails.

    Raises:
        NotWaiting: there are none.
    """
    overdue = [step for step in execution.steps.values() if _is_overdue(step, context)]
    if not overdue:
        raise NotWaiting("No question of the execution has expired.", status=execution.status)
    change = Change(execution=execution)
    for step_id in [step.step_id for step in sorted(overdue, key=step_order)]:
        if _is_overdue(change.execution.steps[step_id], context):  # else it was left out with another
            change = _expired(change, step_id, context)
    return derive_status(resume(change, context), context)


def _is_overdue(step: Step, context: Context) -> bool:
    asked = step.open_round
    return step.waits_for is WaitingOn.CLARIFICATION and asked is not None and asked.is_overdue(context.now)


def _expired(change: Change, step_id: str, context: Context) -> Change:
    step = change.execution.steps[step_id]
    asked = step.rounds[-1]
    if asked.expires_at is None:
        raise ValueError("what never expires has not expired")
    message = f"Nobody answered the step's questions until {format_rfc3339(asked.expires_at)}."
    if asked.on_deadline is OnDeadline.DEFAULTS:
        try:
            checked = check_answers(asked.questions, {})
            return _closed(change, step_id, checked, by=BY_DEADLINE, context=context)
        except InvalidAnswers as error:
            message += f" {len(error.errors)} of them have no default and need an answer."
    failure = Failure(code=FailureCode.QUESTION_EXPIRED, message=message)
    change = mark_failed(change, step_id, failure, context=context)
    return skip_dependents(change, step_id, context=context) if step.optional else change


def _addressed(rounds: Sequence[ClarificationRound], answers: Mapping[str, JsonValue]) -> ClarificationRound | None:
    """Return the newest round that has a question which is answered; else the newest."""
    for asked in reversed(rounds):
        if not answers.keys().isdisjoint(keys_of_questions(asked.questions)):
            return asked
    return rounds[-1] if rounds else None


def _closed(change: Change, step_id: str, answers: dict[str, JsonValue], *, by: str, context: Context) -> Change:
    """Return the change with the open questions of a step answered, and the step ready again."""
    execution = step_transition(change.execution, step_id, StepStatus.PENDING, now=context.now)
    step = execution.steps[step_id]
    closed = step.rounds[-1].model_copy(update={"answers": answers, "answered_at": context.now, "answered_by": by})
    execution = execution.with_step(replace(step, rounds=(*step.rounds[:-1], closed)))
    event = ClarificationAnswered(step_id=step_id, answered_by=by)
    return replace(change, execution=execution, events=(*change.events, event))
