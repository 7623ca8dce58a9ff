"""Retry of failed and cancelled executions."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from common.errors import Erased, FieldError, Invalid
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import IllegalTransition, unknown_step_message
from executions.engine.domain.events import Event, ExecutionRetried
from executions.engine.domain.execution import Execution, Step, step_transition, transition, with_timers
from executions.engine.domain.states import RETRIABLE, ExecutionStatus, StepStatus, WaitingOn
from executions.engine.transitions import acceptance
from executions.engine.transitions.acceptance import WaitingDocument
from executions.engine.transitions.clarification import clarification_event
from executions.engine.transitions.core import Change, Context, derive_status
from executions.engine.transitions.planner import dependents

_WITHOUT_DOCUMENT = frozenset({StepStatus.FAILED, StepStatus.CANCELLED, StepStatus.SKIPPED})


def retry(
    execution: Execution,
    *,
    from_step: str | None,
    requested_by: str,
    waiting: Mapping[UUID, WaitingDocument],
    context: Context,
) -> Change:
    """Continue a failed or cancelled execution with its unfinished steps; completed steps keep their documents.

    `from_step` and all its dependents run again. A step with open questions asks them again. A step whose document
    waited for a decision waits for it again without a model call; `waiting` has such documents by id. A step that
    revised a document revises the same version again. An earlier worker of the execution can write no more.

    Raises:
        Erased: the contents of the execution were erased.
        IllegalTransition: the execution has neither failed nor been cancelled.
        Invalid: the execution has no such step.
    """
    _check_status(execution)
    if from_step is not None and from_step not in execution.steps:
        error = FieldError(
            pointer="/from_step", code="unknown_step", detail=unknown_step_message(from_step, execution.steps)
        )
        raise Invalid("The execution cannot be retried from this step.", [error])
    unfinished = {step.step_id for step in execution.steps.values() if step.status in _WITHOUT_DOCUMENT}
    rerun: set[str] = set()
    if from_step is not None:
        rerun = {from_step, *(step.step_id for step in dependents(execution, from_step))}
    execution = transition(execution, ExecutionStatus.RUNNING, now=context.now)
    execution = replace(execution, claimed_by=None, fencing_token=execution.fencing_token + 1, failure=None)
    events: list[Event] = [ExecutionRetried(from_step=from_step, requested_by=requested_by)]
    for step_id in sorted(unfinished | rerun):
        execution = _reopen(execution, execution.steps[step_id], context, anew=step_id in rerun)
        step = execution.steps[step_id]
        if step.waits_for is WaitingOn.CLARIFICATION and step.open_round is not None:
            events.append(clarification_event(step_id, step.open_round))
        elif step.waits_for is WaitingOn.ACCEPTANCE and step.document_id is not None:
            events.append(acceptance.acceptance_event(step, waiting[step.document_id]))
    return derive_status(Change(execution=with_timers(execution), events=tuple(events)), context)


def _check_status(execution: Execution) -> None:
    if execution.erased_at is not None:
        raise Erased
    if execution.status not in RETRIABLE:
        raise IllegalTransition("The execution", current=execution.status, wanted=ExecutionStatus.RUNNING)


def was_awaiting_decision(step: Step) -> bool:
    """Return whether the step ended while its document waited for a decision."""
    decided = {decision.document_version for decision in step.decisions}
    was_stopped = step.status in {StepStatus.CANCELLED, StepStatus.SKIPPED}
    return was_stopped and step.document_version is not None and step.document_version not in decided


def _reopen(execution: Execution, step: Step, context: Context, *, anew: bool) -> Execution:
    """Return the execution with the step reopened where it stopped, or from its start (`anew`)."""
    open_round = step.open_round
    awaits_decision = was_awaiting_decision(step) and not anew
    keeps_document = awaits_decision or (step.revision is not None and not anew)
    status = StepStatus.WAITING if awaits_decision or (open_round and not anew) else StepStatus.PENDING
    rounds = step.rounds if open_round is None else step.rounds[:-1]
    execution = step_transition(execution, step.step_id, status, now=context.now)
    step = replace(
        execution.steps[step.step_id],
        rounds=rounds if open_round is None or anew else (*rounds, open_round.reopened(context.now)),
        invalid_outputs=0,
        violations=step.violations_at_start if keeps_document else (),
        failure=None,
        wait=step.wait.reopened(context.now) if step.wait is not None and status is StepStatus.WAITING else None,
        base_version=None if anew else step.base_version,
        document_id=step.document_id if keeps_document else None,
        document_version=step.document_version if keeps_document else None,
    )
    return execution.with_step(step)
