"""Putting questions to people, and taking their answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic import JsonValue

from executions.engine.changes import Change, Context, go_on, settle
from executions.engine.clarification import ClarificationRound, QuestionDraft, check_answers, number_questions
from executions.engine.errors import NotFound, NotWaiting
from executions.engine.events import ClarificationAnswered, ClarificationNeeded
from executions.engine.execution import Execution, step_transition
from executions.engine.states import StepStatus


def ask(execution: Execution, step_id: str, *, questions: tuple[QuestionDraft, ...], context: Context) -> Change:
    """Put a step's questions to people.

    Raises:
        IllegalTransition: the step is not working, or the execution has ended.
    """
    execution = step_transition(execution, step_id, StepStatus.WAITING, now=context.now)
    step = execution.steps[step_id]
    number = len(step.rounds) + 1
    asked = ClarificationRound(
        number=number, questions=number_questions(step_id, number, questions), asked_at=context.now
    )
    step = replace(step, rounds=(*step.rounds, asked))
    event = ClarificationNeeded(step_id=step_id, questions=asked.questions)
    return settle(Change(execution=execution.with_step(step), events=(event,)), context)


def answer(
    execution: Execution, step_id: str, answers: Mapping[str, JsonValue], *, answered_by: str, context: Context
) -> Change:
    """Close a step's open questions; the step is ready again.

    Raises:
        NotFound: there is no such step.
        NotWaiting: it asks nothing (any more).
        InvalidAnswers: some answers do not fit; nothing changes.
    """
    step = execution.steps.get(step_id)
    if step is None:
        raise NotFound(f"This execution has no step {step_id!r}.")
    if execution.ended or step.status is not StepStatus.WAITING or step.open_round is None:
        raise NotWaiting(f"Step {step_id} does not wait for answers.", status=step.status)
    asked = step.open_round
    closed = asked.model_copy(
        update={
            "answers": check_answers(asked.questions, answers),
            "answered_at": context.now,
            "answered_by": answered_by,
        }
    )
    execution = step_transition(execution, step_id, StepStatus.PENDING, now=context.now)
    step = replace(execution.steps[step_id], rounds=(*step.rounds[:-1], closed))
    event = ClarificationAnswered(step_id=step_id, answered_by=answered_by)
    return settle(go_on(Change(execution=execution.with_step(step), events=(event,)), context), context)
