"""The engine's ledger on the rows of `telemetry`."""

from __future__ import annotations

from uuid import UUID

from executions import models
from executions.engine.calls import Call, CallKey, ModelReply, Totals, Usage
from executions.engine.execution import Execution
from executions.engine.states import CallKind, CallStatus
from executions.threads import in_thread
from telemetry import recorder, selectors


class PostgresLedger:
    """The record of every paid call."""

    async def calls(self, execution_id: UUID, step_id: str) -> list[Call]:
        """Return the step's calls, oldest first."""
        records = await in_thread(recorder.calls_of, execution_id, step_id)
        return [_call(each) for each in records]

    async def settle(self, call: Call) -> None:
        """Keep what became of a call."""
        await in_thread(_settle, call)


def _settle(call: Call) -> None:
    owner = models.Execution.objects.values_list("workflow_id", "scope_id", "requested_by_id")
    workflow_id, scope_id, user_id = owner.get(id=call.key.execution_id)
    recorder.record(_record(call, workflow_id=workflow_id, scope_id=scope_id, user_id=user_id))


def record(call: Call, execution: Execution) -> None:
    """Announce or settle a call of the execution, within the caller's transaction."""
    scope_id, user_id = execution.scope.id, execution.requested_by
    recorder.record(_record(call, workflow_id=execution.workflow_id, scope_id=scope_id, user_id=user_id))


def totals(sums: selectors.Totals) -> Totals:
    """Return sums over the ledger's rows as the engine's value."""
    usage = Usage(**{name: getattr(sums, name) for name in Usage.model_fields})
    return Totals(
        calls=sums.calls,
        usage=usage,
        known_cost_usd=sums.known_cost_usd,
        cost_complete=sums.cost_complete,
        cost_final=sums.cost_final,
    )


def _record(call: Call, *, workflow_id: str, scope_id: UUID, user_id: int | None) -> recorder.CallRecord:
    reply = call.reply or ModelReply(provider="", model="")
    return recorder.CallRecord(
        execution_id=call.key.execution_id,
        step_id=call.key.step_id,
        attempt=call.key.attempt,
        kind=call.key.kind.value,
        ordinal=call.key.ordinal,
        workflow_id=workflow_id,
        scope_id=scope_id,
        user_id=user_id,
        status=call.status.value,
        requested_model=call.model,
        request_hash=call.request_hash,
        started_at=call.started_at,
        provider=reply.provider,
        model=reply.model,
        provider_request_id=reply.provider_request_id[:200],
        reply=None if call.reply is None else call.reply.model_dump(mode="json"),
        **reply.usage.model_dump(),
        cost_usd=reply.cost_usd,
        estimated_cost_usd=call.estimated_cost_usd,
        latency_ms=None if call.reply is None else reply.latency_ms,
        error=call.error,
        finished_at=call.finished_at,
    )


def _call(record: recorder.CallRecord) -> Call:
    return Call(
        key=CallKey(
            execution_id=record.execution_id,
            step_id=record.step_id,
            attempt=record.attempt,
            kind=CallKind(record.kind),
            ordinal=record.ordinal,
        ),
        model=record.requested_model,
        request_hash=record.request_hash,
        status=CallStatus(record.status),
        started_at=record.started_at,
        reply=None if record.reply is None else ModelReply.model_validate(record.reply),
        finished_at=record.finished_at,
        error=record.error,
        estimated_cost_usd=record.estimated_cost_usd,
    )
