"""The transitions of an execution as its runner makes them, created without a runner."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from django.utils import timezone
from uuid_utils.compat import uuid7

from benchmarks.systems.workload import CONTENT, REPLY, SCHEMA
from executions.engine.domain.calls import Call, CallKey
from executions.engine.domain.execution import Document, Execution
from executions.engine.domain.states import CallKind, CallStatus
from executions.engine.ports import Transition
from executions.engine.transitions import claims, core
from executions.persistence.journal import journal

__all__ = ["Transition", "transitions_of"]


def transitions_of(execution_id: UUID, steps: int) -> list[Transition]:
    """Claim an execution; return all its further transitions, which each complete a step and start the next one."""
    claimed = _claim(execution_id)
    return [_begin(claimed, 0), *(_next(claimed, number, last=number == steps - 1) for number in range(steps))]


def _claim(execution_id: UUID) -> Execution:
    def claim(execution: Execution, context: core.Context) -> core.Change:
        return claims.claim(execution, worker="me", max_recoveries=5, context=context)

    return journal.apply(Transition(execution_id=execution_id, fencing_token=None, decide=claim), now=timezone.now())


def _begin(execution: Execution, number: int) -> Transition:
    def start(now: Execution, context: core.Context) -> core.Change:
        return core.start_step(now, f"s{number}", model="openai:writer", input_versions=(), context=context)

    return Transition(
        execution_id=execution.id,
        fencing_token=execution.fencing_token,
        decide=start,
        calls=(_call(execution, number),),
    )


def _next(execution: Execution, number: int, *, last: bool) -> Transition:
    settled = replace(_call(execution, number), status=CallStatus.COMMITTED, reply=REPLY, finished_at=timezone.now())
    following = None if last else _call(execution, number + 1)

    def complete(now: Execution, context: core.Context) -> core.Change:
        done = core.complete_step(now, f"s{number}", context=context)
        if following is None:
            return done
        begun = core.start_step(
            done.execution, following.key.step_id, model=following.model, input_versions=(), context=context
        )
        return replace(begun, events=(*done.events, *begun.events), calls=(following,))

    return Transition(
        execution_id=execution.id,
        fencing_token=execution.fencing_token,
        decide=complete,
        calls=(settled,),
        document=_document(execution, number),
    )


def _call(execution: Execution, number: int) -> Call:
    key = CallKey(execution_id=execution.id, step_id=f"s{number}", attempt=1, kind=CallKind.GENERATE)
    return Call(
        key=key,
        model="openai:writer",
        request_hash="0" * 64,
        status=CallStatus.PENDING,
        started_at=timezone.now(),
    )


def _document(execution: Execution, number: int) -> Document:
    return Document(
        id=uuid7(),
        scope_id=execution.scope.id,
        type=f"d{number}",
        version=0,
        title="T",
        content=dict(CONTENT),
        schema=SCHEMA,
        execution_id=execution.id,
        step_id=f"s{number}",
        created_at=timezone.now(),
    )
