"""Retries of model calls, at once or at a later time. A deferred step occupies no worker.

`Backoff` in `domain/retries.py` computes the delay. `retry.py` has the retry of an execution.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from common.errors import VersionConflict
from executions.engine.domain.calls import CallKey
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import IllegalTransition, NotWaiting
from executions.engine.domain.execution import Execution, step_transition, with_timers
from executions.engine.domain.states import WORKING, StepStatus, WaitingOn
from executions.engine.transitions.core import Change, Context, derive_status, resume


def defer_step(execution: Execution, step_id: str, *, resume_at: datetime, context: Context) -> Change:
    """Defer a step, in the middle of its attempt, until `resume_at`.

    Raises:
        IllegalTransition: the step is not working, or the execution has ended.
    """
    execution = step_transition(execution, step_id, StepStatus.WAITING, now=context.now)
    execution = execution.with_step(replace(execution.steps[step_id], resume_at=resume_at))
    return derive_status(Change(execution=with_timers(execution)), context)


def resume_deferred(execution: Execution, *, context: Context) -> Change:
    """Make the deferred steps ready whose `resume_at` has come.

    Raises:
        NotWaiting: no deferred step is due.
    """
    due = [
        step.step_id
        for step in execution.steps.values()
        if step.waits_for is WaitingOn.RATE_LIMIT and step.resume_at is not None and step.resume_at <= context.now
    ]
    if not due:
        raise NotWaiting("No deferred step of the execution is due.", status=execution.status)
    for step_id in due:
        execution = step_transition(execution, step_id, StepStatus.PENDING, now=context.now)
    return derive_status(resume(Change(execution=with_timers(execution)), context), context)


def retry_call(execution: Execution, step_id: str, *, lost: Iterable[CallKey], context: Context) -> Change:
    """Let the step's current attempt make another call: the step is working, or was deferred and is ready again.

    Raises:
        IllegalTransition: the step is in neither state, or the execution has ended.
        VersionConflict: a call in `lost` has a reply by now, which has to be used.
    """
    if any(context.replied(key) for key in lost):
        raise VersionConflict("The ledger", expected=execution.version)
    step = execution.steps[step_id]
    if step.status in WORKING and not execution.ended:
        return Change(execution=execution)
    if step.resume_at is None:
        raise IllegalTransition(f"Step {step_id}", current=step.status, wanted=StepStatus.RUNNING)
    return Change(execution=step_transition(execution, step_id, StepStatus.RUNNING, now=context.now))
