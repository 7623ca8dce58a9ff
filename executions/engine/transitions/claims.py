"""Who runs an execution: taking it over, handing it back, and giving it up when nobody gets on with it."""

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
    """Let a runner take the execution over: its fencing token rises, and every earlier runner is fenced off.

    Taking it from another runner that has not handed it back is a recovery. After `max_recoveries` in a row in which no
    step moved, the next one fails the execution instead: what it does to its runners, it would do to the next.

    Raises:
        IllegalTransition: there is nothing to run (waiting or ended).
        AlreadyClaimed: another runner has it, and it shall not be taken over.
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
        return _given_up(claimed, context)
    return Change(execution=claimed, events=events)


def release(execution: Execution, *, context: Context) -> Change:
    """Let a runner hand the execution back, as it stops before the end.

    Raises:
        IllegalTransition: there is nothing to hand back (waiting or ended).
    """
    if execution.status is not ExecutionStatus.RUNNING:
        raise IllegalTransition("The execution", current=execution.status, wanted=ExecutionStatus.RUNNING)
    return Change(execution=replace(execution, claimed_by=None, updated_at=context.now))


def _given_up(execution: Execution, context: Context) -> Change:
    message = (
        f"{execution.recoveries} workers in a row were lost during this execution, and no step made progress. "
        "Find the cause in the workers' logs (memory, a killed process), then retry the execution."
    )
    failure = Failure(code=FailureCode.RECOVERY_EXHAUSTED, message=message)
    change = Change(execution=execution, discard_pending_calls=True)
    for step_id in [step.step_id for step in execution.steps.values() if step.status in WORKING]:
        change = mark_failed(change, step_id, failure, context=context)
    return fail_execution(change, failure, reason="the execution was given up", context=context)
