"""Clarification: questions to people, their answers, and deadlines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from pydantic import JsonValue

from common.errors import NotFound
from common.time import format_rfc3339
from executions.engine.domain.answer_validation import check_answers, keys_of_questions, named_files
from executions.engine.domain.clarification import BY_DEADLINE, ClarificationRound, QuestionDraft, number_questions
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import InvalidAnswers, NotWaiting, unknown_step_message
from executions.engine.domain.events import ClarificationAnswered, ClarificationNeeded
from executions.engine.domain.execution import Execution, Failure, Step, step_transition, with_timers
from executions.engine.domain.states import FailureCode, StepStatus, WaitingOn
from executions.engine.domain.waits import new_wait
from executions.engine.transitions.core import Change, Context, derive_status, mark_failed, resume, skip_dependents
from executions.engine.transitions.planner import step_order
from executions.engine.transitions.waits import tell_due
from workflows.definitions.definition import ANY_REVIEWER, ClarificationPolicy, OnDeadline, WaitPolicy


def ask(
    execution: Execution,
    step_id: str,
    *,
    questions: tuple[QuestionDraft, ...],
    policy: ClarificationPolicy | None = None,
    waiting: WaitPolicy = ANY_REVIEWER,
    context: Context,
) -> Change:
    """Let a step wait for answers to its questions, until the deadline in the step's policy.

    `waiting` says who answers, and when that is due.

    Raises:
        IllegalTransition: the step is not working, or the execution has ended.
    """
    execution = step_transition(execution, step_id, StepStatus.WAITING, now=context.now)
    step = execution.steps[step_id]
    number = len(step.rounds) + 1
    seconds = None if policy is None else policy.deadline_seconds
    round_ = ClarificationRound(
        number=number,
        questions=number_questions(step_id, number, questions),
        asked_at=context.now,
        expires_at=None if seconds is None else context.now + timedelta(seconds=seconds),
        on_deadline=None if policy is None or seconds is None else policy.on_deadline,
    )
    step = replace(step, rounds=(*step.rounds, round_), wait=new_wait(waiting, now=context.now))
    execution = with_timers(execution.with_step(step))
    return derive_status(Change(execution=execution, events=(clarification_event(step_id, round_),)), context)


def clarification_event(step_id: str, round_: ClarificationRound) -> ClarificationNeeded:
    """Return the event about a step's open questions."""
    expires_at = None if round_.expires_at is None else format_rfc3339(round_.expires_at)
    return ClarificationNeeded(
        step_id=step_id,
        questions=round_.questions,
        expires_at=expires_at,
        on_deadline=round_.on_deadline,
    )


def answer(
    execution: Execution,
    step_id: str,
    answers: Mapping[str, JsonValue],
    *,
    answered_by: str,
    files: Collection[UUID] = (),
    context: Context,
) -> Change:
    """Close the step's open questions with answers; the step is ready again.

    Args:
        execution: The execution.
        step_id: The step.
        answers: By question id or text.
        answered_by: Name of the user.
        files: Files that may be answers.
        context: The context of the decision.

    Raises:
        NotFound: there is no such step.
        NotWaiting: the step has no open questions, or the answers belong to other questions.
        InvalidAnswers: some answers are not valid; nothing changes.
    """
    step = execution.steps.get(step_id)
    if step is None:
        raise NotFound(unknown_step_message(step_id, execution.steps))
    round_ = _addressed_round(step.rounds, answers)
    if execution.ended or step.waits_for is not WaitingOn.CLARIFICATION or round_ is None or round_.answers is not None:
        raise NotWaiting(f"Step {step_id} does not wait for these answers.", status=step.status)
    checked = check_answers(round_.questions, answers, files=files)
    change = _close_round(Change(execution=execution), step_id, checked, by=answered_by, context=context)
    return derive_status(resume(change, context), context)


def files_in(step: Step, answers: Mapping[str, JsonValue]) -> dict[str, UUID]:
    """Return the ids of files in answers to the step's questions, by the key of the answer."""
    round_ = _addressed_round(step.rounds, answers)
    return {} if round_ is None else named_files(round_.questions, answers)


def is_same_answer(step: Step, answers: Mapping[str, JsonValue]) -> bool:
    """Return whether the questions were closed with the same answers, given by question id or by question text."""
    round_ = _addressed_round(step.rounds, answers)
    if round_ is None or round_.answers is None:
        return False
    try:
        return check_answers(round_.questions, answers) == round_.answers
    except InvalidAnswers:
        return False


def pass_time(execution: Execution, *, context: Context) -> Change:
    """Tell of due dates that come near or have passed, and apply the deadlines of unanswered questions.

    Raises:
        NotWaiting: there is nothing to tell, and no question has expired.
    """
    told = tell_due(execution, context=context)
    if told.events and not any(_is_overdue(step, context) for step in told.execution.steps.values()):
        return told
    expired = expire(told.execution, context=context)
    return replace(expired, events=(*told.events, *expired.events))


def expire(execution: Execution, *, context: Context) -> Change:
    """Apply the deadline of unanswered questions: the defaults become the answers, or the step fails.

    Raises:
        NotWaiting: no question has expired.
    """
    overdue = [step for step in execution.steps.values() if _is_overdue(step, context)]
    if not overdue:
        raise NotWaiting("No question of the execution has expired.", status=execution.status)
    change = Change(execution=execution)
    for step_id in [step.step_id for step in sorted(overdue, key=step_order)]:
        if _is_overdue(change.execution.steps[step_id], context):  # else it was skipped with another step
            change = _expire_step(change, step_id, context)
    return derive_status(resume(change, context), context)


def _is_overdue(step: Step, context: Context) -> bool:
    round_ = step.open_round
    return step.waits_for is WaitingOn.CLARIFICATION and round_ is not None and round_.is_overdue(context.now)


def _expire_step(change: Change, step_id: str, context: Context) -> Change:
    step = change.execution.steps[step_id]
    round_ = step.rounds[-1]
    if round_.expires_at is None:
        raise ValueError("the questions have no deadline")
    message = f"The step's questions were not answered until {format_rfc3339(round_.expires_at)}."
    if round_.on_deadline is OnDeadline.DEFAULTS:
        try:
            checked = check_answers(round_.questions, {})
            return _close_round(change, step_id, checked, by=BY_DEADLINE, context=context)
        except InvalidAnswers as error:
            message += f" {len(error.errors)} of the questions need an answer and have no default."
    failure = Failure(code=FailureCode.QUESTION_EXPIRED, message=message)
    change = mark_failed(change, step_id, failure, context=context)
    return skip_dependents(change, step_id, context=context) if step.optional else change


def _addressed_round(
    rounds: Sequence[ClarificationRound], answers: Mapping[str, JsonValue]
) -> ClarificationRound | None:
    """Return the newest round that contains one of the answered questions; else the newest round."""
    for round_ in reversed(rounds):
        if not answers.keys().isdisjoint(keys_of_questions(round_.questions)):
            return round_
    return rounds[-1] if rounds else None


def _close_round(change: Change, step_id: str, answers: dict[str, JsonValue], *, by: str, context: Context) -> Change:
    """Return the change with the step's open questions answered and the step ready again."""
    execution = step_transition(change.execution, step_id, StepStatus.PENDING, now=context.now)
    step = execution.steps[step_id]
    closed = step.rounds[-1].model_copy(update={"answers": answers, "answered_at": context.now, "answered_by": by})
    execution = execution.with_step(replace(step, rounds=(*step.rounds[:-1], closed)))
    event = ClarificationAnswered(step_id=step_id, answered_by=by)
    return replace(change, execution=execution, events=(*change.events, event))
