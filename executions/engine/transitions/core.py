"""State transitions of an execution, as pure functions from a value to the changed value and its events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from common.errors import FieldError
from executions.engine.domain.budget_usage import NO_USAGE, BudgetUsage
from executions.engine.domain.calls import Call, CallKey, Totals
from executions.engine.domain.copying import replace
from executions.engine.domain.events import (
    Complete,
    Event,
    ExecutionCreated,
    ExecutionResumed,
    ExecutionWaiting,
    ProgressEvent,
    RemediationStarted,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepReused,
    StepSkipped,
    StepStarted,
    money,
    totals_data,
)
from executions.engine.domain.execution import (
    Document,
    Execution,
    Failure,
    Pin,
    Step,
    move_step,
    step_transition,
    transition,
    with_timers,
)
from executions.engine.domain.states import ENDED, UNFINISHED, WORKING, ExecutionStatus, StepStatus, WaitingOn
from executions.engine.transitions.planner import dependents, has_ready_steps, step_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Facts beside the execution that a decision may use: the new document, and the calls so far."""

    now: datetime
    document: Document | None = None
    step_totals: Callable[[str], Totals] = field(default=lambda _: Totals())  # totals of one step
    totals: Callable[[], Totals] = field(default=Totals)  # totals of the execution
    replied: Callable[[CallKey], bool] = field(default=lambda _: False)  # whether a call has its reply
    #: The request hash of a call that is to be recorded but already has a reply; None: it has no reply.
    bought: Callable[[CallKey], str | None] = field(default=lambda _: None)
    spent: Callable[[], BudgetUsage] = field(default=lambda: NO_USAGE)  # the budget usage, reservations included
    #: Version of the head of a scope's document of a type; 0: there is none.
    head_version: Callable[[UUID, str], int] = field(default=lambda _scope_id, _type: 0)
    #: Remaining US dollars of the scope's monthly budget; None: no limit.
    scope_room: Callable[[], Decimal | None] = field(default=lambda: None)


@dataclass(frozen=True, kw_only=True)  # without slots: copies are made often
class Change:
    """A changed execution and its events.

    `version` and `last_sequence` have their old values: the journal increments them when it stores the change.
    """

    execution: Execution
    events: tuple[Event, ...] = ()
    calls: tuple[Call, ...] = ()  # calls that the change records; they are made after it is stored
    budget_blocked: bool = False  # a budget limit blocks the step: the transition's pending calls are not made
    discard_pending_calls: bool = False  # the replies of pending calls are no longer needed


Decide = Callable[[Execution, Context], Change]


def create(execution: Execution) -> Change:
    """Create an execution."""
    event = ExecutionCreated(
        workflow_id=execution.workflow_id,
        workflow_version=execution.workflow_version,
        scope=execution.scope,
        requested_by=execution.requested_by_name,
        dry_run=execution.script is not None,
    )
    return Change(execution=execution, events=(event,))


def start_step(
    execution: Execution, step_id: str, *, model: str, input_versions: tuple[Pin, ...], context: Context
) -> Change:
    """Begin the next attempt of a ready step. One that revises a document goes on with the requested changes.

    Raises:
        IllegalTransition: the step is not pending, or the execution has ended.
    """
    step = move_step(execution, execution.steps[step_id], StepStatus.RUNNING, now=context.now)
    base = context.head_version(step.scope.id, step.produces) if step.base_version is None else step.base_version
    step = replace(
        step,
        attempt=step.attempt + 1,
        invalid_outputs=0,
        violations=step.violations_at_start,
        input_versions=input_versions,
        base_version=base,
    )
    events: list[Event] = [
        StepStarted(step_id=step_id, attempt=step.attempt, role=step.role, model=model, inputs=input_versions)
    ]
    if step.violations:
        events.append(RemediationStarted(step_id=step_id, attempt=step.attempt, violations=step.violations))
    return Change(execution=execution.with_progress(step, now=context.now), events=tuple(events))


def remediate(execution: Execution, step_id: str, *, violations: tuple[FieldError, ...], context: Context) -> Change:
    """Return invalid output to the model: the next attempt begins.

    Raises:
        IllegalTransition: the step is not working, or the execution has ended.
    """
    step = move_step(execution, execution.steps[step_id], StepStatus.REMEDIATING, now=context.now)
    step = replace(step, attempt=step.attempt + 1, invalid_outputs=step.invalid_outputs + 1, violations=violations)
    event = RemediationStarted(step_id=step_id, attempt=step.attempt, violations=violations)
    return Change(execution=execution.with_progress(step, now=context.now), events=(event,))


def complete_step(execution: Execution, step_id: str, *, context: Context, document: Document | None = None) -> Change:
    """Complete a step with this document, by default the new one in `context`.

    Raises:
        IllegalTransition: the step is neither working nor waiting for a decision, or the execution has ended.
    """
    document = document or context.document
    if document is None:
        raise ValueError("a completed step needs a document")
    step = move_step(execution, execution.steps[step_id], StepStatus.COMPLETED, now=context.now)
    step = replace(step, document_id=document.id, document_version=document.version, violations=())
    spent = context.step_totals(step_id)
    event = StepCompleted(
        step_id=step_id,
        document_id=document.id,
        document_version=document.version,
        document_type=document.type,
        title=document.title,
        usage=spent.usage,
        cost_usd=money(spent.cost_usd),
    )
    return derive_status(Change(execution=execution.with_progress(step, now=context.now), events=(event,)), context)


def reuse_document(
    execution: Execution, step_id: str, document: Document, *, input_versions: tuple[Pin, ...], context: Context
) -> Change:
    """Complete a ready step with a document that the scope has, without an attempt.

    Raises:
        IllegalTransition: the step is not pending, or the execution has ended.
    """
    step = move_step(execution, execution.steps[step_id], StepStatus.RUNNING, now=context.now)
    event = StepReused(
        step_id=step_id,
        document_id=document.id,
        document_version=document.version,
        document_type=document.type,
        title=document.title,
    )
    begun = execution.with_step(replace(step, input_versions=input_versions))
    change = complete_step(begun, step_id, context=context, document=document)
    return replace(change, events=(event, *change.events))


def fail_step(
    execution: Execution,
    step_id: str,
    failure: Failure,
    *,
    context: Context,
    violations: tuple[FieldError, ...] = (),
) -> Change:
    """End a step without a document. Working steps finish, no new step starts, then the execution fails.

    If the step's failure is not fatal for the execution, only its dependents are skipped.

    Raises:
        IllegalTransition: the step is not working, or the execution has ended.
    """
    change = mark_failed(Change(execution=execution), step_id, failure, context=context, violations=violations)
    if change.execution.steps[step_id].optional:
        change = skip_dependents(change, step_id, context=context)
    return derive_status(change, context)


def fail_unstarted(
    execution: Execution, step_id: str, failure: Failure, *, model: str = "", context: Context
) -> Change:
    """Fail a step like `fail_step`, also if it is only ready.

    Then the failure starts and ends an attempt without a call.

    Raises:
        IllegalTransition: the step is neither working nor ready, or the execution has ended.
    """
    if execution.steps[step_id].status in WORKING:
        return fail_step(execution, step_id, failure, context=context)
    begun = start_step(execution, step_id, model=model, input_versions=(), context=context)
    change = fail_step(begun.execution, step_id, failure, context=context)
    return replace(change, events=(*begun.events, *change.events))


def mark_failed(
    change: Change,
    step_id: str,
    failure: Failure,
    *,
    context: Context,
    violations: tuple[FieldError, ...] = (),
) -> Change:
    """Return the change with one step failed, without the consequences for other steps and the execution.

    Raises:
        IllegalTransition: the step is not working, or the execution has ended.
    """
    execution = step_transition(change.execution, step_id, StepStatus.FAILED, now=context.now)
    step = replace(execution.steps[step_id], failure=failure, violations=violations)
    event = StepFailed(step_id=step_id, failure_code=failure.code, error=failure.message)
    return replace(change, execution=execution.with_step(step), events=(*change.events, event))


def skip_step(execution: Execution, step_id: str, *, reason: str, context: Context) -> Change:
    """Skip a step that has not started, and its dependents.

    Raises:
        IllegalTransition: the step has started, or the execution has ended.
    """
    change = _skip(Change(execution=execution, events=()), [execution.steps[step_id]], reason=reason, context=context)
    return derive_status(skip_dependents(change, step_id, context=context), context)


def cancel(execution: Execution, *, context: Context) -> Change:
    """Cancel every step that has not ended, and the execution.

    Raises:
        IllegalTransition: the execution has ended.
    """
    stopped = [step for step in _in_order(execution) if step.status in UNFINISHED]
    events: list[Event] = [StepCancelled(step_id=step.step_id) for step in stopped]
    execution = _all_moved(execution, stopped, StepStatus.CANCELLED, now=context.now)
    cancelled = transition(execution, ExecutionStatus.CANCELLED, now=context.now)
    events.append(_complete_event(cancelled, context))
    return Change(execution=cancelled, events=tuple(events), discard_pending_calls=True)


def resume(change: Change, context: Context) -> Change:
    """Return the change with the execution running again, if it was waiting."""
    if change.execution.status is not ExecutionStatus.WAITING:
        return change
    execution = transition(change.execution, ExecutionStatus.RUNNING, now=context.now)
    return replace(change, execution=execution, events=(*change.events, ExecutionResumed()))


def derive_status(change: Change, context: Context) -> Change:
    """Return the change with the execution's status derived from its steps, unless a step is still working."""
    execution = change.execution
    statuses = {step.status for step in execution.steps.values()}
    if statuses & WORKING:
        return change
    if StepStatus.FAILED in statuses and execution.is_failing:
        return _fail(change, context)
    if has_ready_steps(execution):
        return change
    if StepStatus.WAITING in statuses:
        if not change.budget_blocked and any(step.blocked_by_limit for step in execution.steps.values()):
            # Finished calls have freed their reservations.
            return replace(change, execution=unblock_budget(execution, context))
        waited_for = {step.waits_for for step in execution.steps.values()}
        waiting_on = tuple(each for each in WaitingOn if each in waited_for)
        waiting = transition(execution, ExecutionStatus.WAITING, now=context.now)
        waiting = replace(waiting, waiting_on=waiting_on)
        event = ExecutionWaiting(waiting_on=waiting_on, resume_at=waiting.resume_at)
        return replace(change, execution=waiting, events=(*change.events, event))
    left = [step for step in _in_order(execution) if step.status in UNFINISHED]
    change = _skip(change, left, reason="a document that it needs will not be produced", context=context)
    completed = transition(change.execution, ExecutionStatus.COMPLETED, now=context.now)
    return replace(change, execution=completed, events=(*change.events, _complete_event(completed, context)))


def unblock_budget(execution: Execution, context: Context) -> Execution:
    """Return the execution with its budget-blocked steps ready again."""
    held = [step for step in _in_order(execution) if step.waits_for is WaitingOn.BUDGET]
    return _all_moved(execution, held, StepStatus.PENDING, now=context.now)


def _fail(change: Change, context: Context) -> Change:
    failed = next(step for step in _in_order(change.execution) if step.is_fatal)
    if failed.failure is None:
        raise ValueError("a failed step needs a failure")
    return fail_execution(change, failed.failure, reason=f"step {failed.step_id} failed", context=context)


def fail_execution(change: Change, failure: Failure, *, reason: str, context: Context) -> Change:
    """Return the change with the execution failed, and its unfinished steps skipped for this reason."""
    left = [step for step in _in_order(change.execution) if step.status in UNFINISHED]
    change = _skip(change, left, reason=reason, context=context)
    execution = transition(change.execution, ExecutionStatus.FAILED, now=context.now)
    execution = replace(execution, failure=failure)
    return replace(change, execution=execution, events=(*change.events, _complete_event(execution, context)))


def skip_dependents(change: Change, step_id: str, *, context: Context) -> Change:
    """Return the change with the dependents of a failed or skipped step skipped.

    A working dependent started with an earlier version of the document; it finishes.
    """
    step = change.execution.steps[step_id]
    reason = f"step {step_id} is {step.status.value}"
    left = [step for step in dependents(change.execution, step_id) if step.status in UNFINISHED - WORKING]
    return _skip(change, sorted(left, key=step_order), reason=reason, context=context)


def _skip(change: Change, steps: Sequence[Step], *, reason: str, context: Context) -> Change:
    events = (StepSkipped(step_id=step.step_id, reason=reason) for step in steps)
    execution = _all_moved(change.execution, steps, StepStatus.SKIPPED, now=context.now)
    return replace(change, execution=execution, events=(*change.events, *events))


def _all_moved(execution: Execution, steps: Iterable[Step], to: StepStatus, *, now: datetime) -> Execution:
    return execution.with_steps(move_step(execution, step, to, now=now) for step in steps)


def _complete_event(execution: Execution, context: Context) -> Complete:
    return Complete(
        status=execution.status,
        failure_code=execution.failure.code if execution.failure else None,
        totals=totals_data(context.totals()),
    )


def _in_order(execution: Execution) -> list[Step]:
    return sorted(execution.steps.values(), key=step_order)


def is_idle(execution: Execution) -> bool:
    """Return whether a worker has nothing left to do for the execution."""
    return execution.status in ENDED or execution.status is ExecutionStatus.WAITING


def number_events(change: Change, *, current: Execution, now: datetime) -> tuple[Execution, tuple[ProgressEvent, ...]]:
    """Return the change as it is stored over `current`: the version incremented, the events numbered consecutively."""
    first = current.last_sequence + 1
    events = tuple(
        ProgressEvent(
            execution_id=current.id,
            sequence=sequence,
            event_type=event.event_type,
            step_id=event.step_id,
            data=event.data(),
            timestamp=now,
        )
        for sequence, event in enumerate(change.events, start=first)
    )
    changed = change.execution
    if changed.resume_at is not None or changed.deadline_at is not None:
        changed = with_timers(changed)  # the timers' steps may have been answered, skipped or cancelled
    stored = replace(
        changed,
        version=current.version + 1,
        last_sequence=current.last_sequence + len(events),
        updated_at=now,
    )
    return stored, events
