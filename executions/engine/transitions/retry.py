"""Opening again what failed or was cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from common.field_error import FieldError
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import IllegalTransition, Invalid, unknown_step_message
from executions.engine.domain.events import Event, ExecutionRetried
from executions.engine.domain.execution import Execution, Step, step_transition, transition, with_timers
from executions.engine.domain.states import ExecutionStatus, StepStatus, WaitingOn
from executions.engine.transitions import acceptance
from executions.engine.transitions.clarification import clarification_event
from executions.engine.transitions.core import Change, Context, derive_status
from executions.engine.transitions.planner import dependents

_LEFT_OVER = frozenset({StepStatus.FAILED, StepStatus.CANCELLED, StepStatus.SKIPPED})


def retry(
    execution: Execution, *, from_step: str | None, requested_by: str, titles: Mapping[UUID, str], context: Context
) -> Change:
    """Let a failed or cancelled execution go on from what it left over; finished steps keep their documents.

    `from_step` is done again too, with everything that depends on it. A step whose questions were open asks them again,
    and one whose document waited for a decision waits for it again, without asking the model; `titles` are those of
    such documents. Whoever ran the execution before is fenced off.

    Raises:
        IllegalTransition: it has neither failed nor been cancelled.
        Invalid: it has no such step.
    """
    if execution.status not in {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}:
        raise IllegalTransition("The execution", current=execution.status, wanted=ExecutionStatus.RUNNING)
    if from_step is not None and from_step not in execution.steps:
        error = FieldError(
            pointer="/from_step", code="unknown_step", detail=unknown_step_message(from_step, execution.steps)
        )
        raise Invalid("The execution cannot go on from there.", [error])
    left = {step.step_id for step in execution.steps.values() if step.status in _LEFT_OVER}
    redone: set[str] = set()
    if from_step is not None:
        redone = {from_step, *(step.step_id for step in dependents(execution, from_step))}
    execution = transition(execution, ExecutionStatus.RUNNING, now=context.now)
    execution = replace(execution, claimed_by=None, fencing_token=execution.fencing_token + 1, failure=None)
    events: list[Event] = [ExecutionRetried(from_step=from_step, requested_by=requested_by)]
    for step_id in sorted(left | redone):
        execution = _reopened(execution, execution.steps[step_id], context, anew=step_id in redone)
        step = execution.steps[step_id]
        if step.waits_for is WaitingOn.CLARIFICATION and step.open_round is not None:
            events.append(clarification_event(step_id, step.open_round))
        elif step.waits_for is WaitingOn.ACCEPTANCE and step.document_id is not None:
            events.append(acceptance.acceptance_event(step, title=titles[step.document_id]))
    return derive_status(Change(execution=with_timers(execution), events=tuple(events)), context)


def was_awaiting_decision(step: Step) -> bool:
    """Whether the step was ended while its document waited for a decision."""
    decided = {decision.document_version for decision in step.decisions}
    left = step.status in {StepStatus.CANCELLED, StepStatus.SKIPPED}
    return left and step.document_version is not None and step.document_version not in decided


def _reopened(execution: Execution, step: Step, context: Context, *, anew: bool) -> Execution:
    """Return the execution with a step that goes on where it was, or begins `anew`: nothing waits for people then."""
    asked = step.open_round
    waits = was_awaiting_decision(step) and not anew
    to = StepStatus.WAITING if waits or (asked and not anew) else StepStatus.PENDING
    rounds = step.rounds if asked is None else step.rounds[:-1]
    execution = step_transition(execution, step.step_id, to, now=context.now)
    step = replace(
        execution.steps[step.step_id],
        rounds=rounds if asked is None or anew else (*rounds, asked.reopened(context.now)),
        invalid_outputs=0,
        violations=(),
        failure=None,
        document_id=step.document_id if waits else None,
        document_version=step.document_version if waits else None,
    )
    return execution.with_step(step)
