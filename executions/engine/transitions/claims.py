"""Claims of executions by workers: claiming, releasing, and the limit of recoveries."""

from __future__ import annotations

from executions.engine.domain.copying import replace
from executions.engine.domain.errors import AlreadyClaimed, IllegalTransition
from executions.engine.domain.events import Event, ExecutionStarted
from executions.engine.domain.execution import Execution, Failure, transition
from executions.engine.domain.states import WORKING, ExecutionStatus, FailureCode
from executions.engine.transitions.core import Change, Context, fail_execution, mark_failed


def claim(
    execution: Execution, *, worker: str, max_recoveries: int, context: Context, take_over: bool = True
) -> Change:
    """Let a worker claim the execution: the fencing token rises, so that earlier workers can write no more.

    A claim from another worker that has not released the execution is a recovery. After `max_recoveries` in a row
    without progress of a step, the next claim fails the execution: it would probably be lost again.

    Raises:
        IllegalTransition: the execution is waiting or has ended.
        AlreadyClaimed: another worker runs it, and `take_over` is False.
    """
    if execution.claimed_by not in {None, worker} and not take_over:
        raise AlreadyClaimed(execution.id)
    events: tuple[Event, ...] = ()
    recoveries = execution.recoveries + (execution.claimed_by not in {None, worker})
    if execution.status is ExecutionStatus.PENDING:
        execution = transition(execution, ExecutionStatus.RUNNING, now=context.now)
        events = (ExecutionStarted(),)
    elif execution.status is not ExecutionStatus.RUNNING:
        raise IllegalTransition("The execution", current=execution.status, wanted=ExecutionStatus.RUNNING)
    fencing_token = execution.fencing_token + 1
    claimed = replace(
        execution, claimed_by=worker, fencing_token=fencing_token, recoveries=recoveries, updated_at=context.now
    )
    if recoveries > max_recoveries:
        return _fail_after_recoveries(claimed, context)
    return Change(execution=claimed, events=events)


def release(execution: Execution, *, context: Context) -> Change:
    """Let a worker release the execution before it has ended.

    Raises:
        IllegalTransition: the execution is waiting or has ended.
    """
    if execution.status is not ExecutionStatus.RUNNING:
        raise IllegalTransition("The execution", current=execution.status, wanted=ExecutionStatus.RUNNING)
    return Change(execution=replace(execution, claimed_by=None, updated_at=context.now))


def _fail_after_recoveries(execution: Execution, context: Context) -> Change:
    message = (
        f"{execution.recoveries} workers in a row were lost during this execution, and no step made progress. "
        "Find the cause in the workers' logs (memory, a killed process), then retry the execution."
    )
    failure = Failure(code=FailureCode.RECOVERY_EXHAUSTED, message=message)
    change = Change(execution=execution, discard_pending_calls=True)
    for step_id in [step.step_id for step in execution.steps.values() if step.status in WORKING]:
        change = mark_failed(change, step_id, failure, context=context)
    return fail_execution(change, failure, reason="the execution was given up", context=context)
