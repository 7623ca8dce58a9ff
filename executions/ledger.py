"""The engine's ledger on the rows of `telemetry`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from executions.engine.calls import Call, CallKey, ModelReply, Totals, Usage, settled, sum_calls
from executions.engine.execution import Execution
from executions.engine.retries import NOT_SENT
from executions.engine.spending import Spent, spent_by
from executions.engine.states import CallKind, CallStatus
from executions.threads import patiently
from telemetry import recorder, scope_budgets, selectors, spending


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A call on the page: as it shall be, and what the table knew of it before."""

    call: Call
    known: recorder.KnownCall | None = None
    changed: bool = False


class Page:
    """The calls that one transaction looks at, and what it does to them. Their executions are locked."""

    def __init__(self) -> None:
        self._entries: dict[CallKey, Entry] = {}
        self._steps: set[tuple[UUID, str]] = set()  # steps all of whose calls are here
        self._tried: dict[CallKey, Entry] = {}  # by the decision under way

    def load(self, steps: Collection[tuple[UUID, str]]) -> None:
        """Bring in the calls of steps, named by execution and step id."""
        self._bring_in(recorder.known_of_steps(steps) if steps else ())
        self._steps |= set(steps)

    def _bring_in(self, calls: Iterable[recorder.KnownCall]) -> None:
        for known in calls:
            call = _call(known.record, replied=known.replied)
            self._entries.setdefault(call.key, Entry(call=call, known=known))

    def has(self, call: Call) -> bool:
        """Whether the call is there already as it shall be, or further on."""
        found = self._find(call.key)
        return found is not None and settled(found.call, call) is None

    def replied(self, key: CallKey) -> bool:
        """Whether the call has its reply."""
        found = self._find(key)
        return found is not None and found.call.reply is not None

    def record(self, call: Call) -> None:
        """Announce a new call, or settle a known one; what was settled for good stays."""
        found = self._find(call.key)
        becomes = call if found is None else settled(found.call, call)
        if becomes is not None:
            self._tried[call.key] = Entry(call=becomes, known=found.known if found else None, changed=True)

    def keep(self) -> None:
        """Stand by what was recorded since the last `keep` or `drop`."""
        self._entries |= self._tried
        self._tried = {}

    def drop(self) -> None:
        """Take back what was recorded since the last `keep` or `drop`."""
        self._tried = {}

    def step_totals(self, execution_id: UUID, step_id: str) -> Totals:
        """Return the sum over a step."""
        if (execution_id, step_id) not in self._steps:
            self.load({(execution_id, step_id)})
        return sum_calls(call for call in self._of(execution_id) if call.key.step_id == step_id)

    def totals(self, execution_id: UUID) -> Totals:
        """Return the sum over an execution: of what is here, and of what is in the table alone."""
        entries = self._entries | self._tried
        mine = [entry for entry in entries.values() if entry.call.key.execution_id == execution_id]
        known = [entry.known.row_id for entry in mine if entry.known is not None]
        rest = selectors.execution_totals(execution_id, but=known)
        others = Totals(
            calls=rest.calls,
            usage=Usage(**{name: getattr(rest, name) for name in Usage.model_fields}),
            known_cost_usd=rest.known_cost_usd,
            unpriced_calls=rest.unpriced_calls,
            cost_final=rest.cost_final,
        )
        return others + sum_calls(entry.call for entry in mine)

    def spent(self, execution_id: UUID) -> Spent:
        """Return what the execution has used, or may still use: by what is here, and by what is in the table alone."""
        entries = self._entries | self._tried
        mine = [entry for entry in entries.values() if entry.call.key.execution_id == execution_id]
        known = [entry.known.row_id for entry in mine if entry.known is not None]
        rest = spending.execution_spent(execution_id, withdrawn=NOT_SENT, but=known)
        others = Spent(cost_usd=rest.cost_usd, tokens=rest.tokens, calls=rest.calls)
        return others + spent_by(entry.call for entry in mine)

    def scope_spent(self, scope_id: UUID, execution_ids: Collection[UUID], *, now: datetime) -> Decimal:
        """Return the US dollars of a scope in this month; `execution_ids` are those of it that are looked at here."""
        entries = self._entries | self._tried
        mine = [entry for entry in entries.values() if entry.call.key.execution_id in execution_ids]
        month = [entry.call for entry in mine if entry.call.started_at >= scope_budgets.month_of(now)]
        known = [entry.known.row_id for entry in mine if entry.known is not None]
        return scope_budgets.spent(scope_id, now=now, but=known) + spent_by(month).cost_usd

    def write(self, owners: Mapping[UUID, Execution]) -> None:
        """Store what was recorded."""
        changed = [entry for entry in self._entries.values() if entry.changed]
        new = [entry for entry in changed if entry.known is None]
        recorder.announce([_record(entry.call, owners[entry.call.key.execution_id]) for entry in new])
        recorder.settle(
            [
                (entry.known, _record(entry.call, owners[entry.call.key.execution_id]))
                for entry in changed
                if entry.known is not None
            ]
        )

    def _find(self, key: CallKey) -> Entry | None:
        return self._tried.get(key) or self._entries.get(key)

    def _of(self, execution_id: UUID) -> Iterator[Call]:
        entries = self._entries | self._tried
        return (entry.call for entry in entries.values() if entry.call.key.execution_id == execution_id)


async def calls_of(execution_id: UUID, step_id: str) -> list[Call]:
    """Return a step's calls with their replies, oldest first."""
    records = await patiently(recorder.calls_of, execution_id, step_id)
    return [_call(each, replied=each.reply is not None) for each in records]


def _record(call: Call, execution: Execution) -> recorder.CallRecord:
    reply = call.reply or ModelReply(provider="", model="")
    return recorder.CallRecord(
        execution_id=call.key.execution_id,
        step_id=call.key.step_id,
        attempt=call.key.attempt,
        kind=call.key.kind.value,
        ordinal=call.key.ordinal,
        workflow_id=execution.workflow_id,
        scope_id=execution.scope.id,
        user_id=execution.requested_by,
        dry_run=execution.script is not None,
        tags=tuple(dict.fromkeys(execution.tags)),
        status=call.status.value,
        requested_model=call.model,
        request_hash=call.request_hash,
        started_at=call.started_at,
        provider=reply.provider,
        model=reply.model,
        provider_request_id=reply.provider_request_id[:200],
        reply=None if call.reply is None else call.reply.model_dump(mode="json", exclude={"cost_usd"}),
        **reply.usage.model_dump(),
        cost_usd=reply.cost_usd,
        estimated_cost_usd=call.estimated_cost_usd,
        reserved_tokens=call.reserved_tokens,
        latency_ms=None if call.reply is None else reply.latency_ms,
        error=call.error,
        finished_at=call.finished_at,
    )


def _call(record: recorder.CallRecord, *, replied: bool) -> Call:
    """Return the call; of a reply that was not read, what it used and cost."""
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
        reply=_reply(record) if replied else None,
        finished_at=record.finished_at,
        error=record.error,
        estimated_cost_usd=record.estimated_cost_usd,
        reserved_tokens=record.reserved_tokens,
    )


def _reply(record: recorder.CallRecord) -> ModelReply:
    if record.reply is not None:  # what it cost is known by its column: another price may have been found since
        return ModelReply.model_validate(record.reply).model_copy(update={"cost_usd": record.cost_usd})
    usage = Usage.model_construct(**{name: getattr(record, name) for name in Usage.model_fields})
    return ModelReply.model_construct(
        provider=record.provider, model=record.model, usage=usage, cost_usd=record.cost_usd
    )
