"""The engine's ledger on the rows of `telemetry`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Literal
from uuid import UUID

from common.database import bulk
from executions.db_threads import retry_while_unavailable
from executions.engine.domain.budget_usage import NO_USAGE, BudgetUsage, usage_of
from executions.engine.domain.calls import Call, CallKey, ModelReply, Totals, Usage, merge_call, sum_calls
from executions.engine.domain.copying import replace
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import CallKind, CallStatus
from telemetry import ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A call, and the row that it has or gets."""

    call: Call
    row: ledger.CallRow
    is_new: bool = False  # the row is not stored yet


CallsByStep = dict[str, dict[CallKey, Entry]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedCalls:
    """Calls of an execution, by step, and sums over the calls of all other steps."""

    by_step: CallsByStep = field(default_factory=dict)
    is_complete: bool = False  # a step that is not in it has no calls; else its calls were not read
    other_totals: Totals | None = None  # None: not read
    other_usage: BudgetUsage | None = None  # None: not read


@dataclass(frozen=True, slots=True)
class Need:
    """Data about calls, or heads of documents, that a decision needs."""

    kind: Literal["calls", "totals", "usage", "spending", "heads"]
    id: UUID  # of an execution; "spending" is that of a scope in this month, "heads" are those of its documents
    step_id: str = ""  # of the "calls"


class NeedsMore(Exception):
    """A command cannot be decided on this snapshot, or not be stored without row locks."""

    def __init__(self, need: Need | None = None) -> None:
        """Store what the snapshot lacks of calls."""
        super().__init__(need)
        self.need = need


class CallUnitOfWork:
    """What the commands of a batch do to the calls of a snapshot."""

    def __init__(self, loaded: Mapping[UUID, LoadedCalls]) -> None:
        """Begin with the calls of the snapshot, by execution."""
        self._loaded = loaded
        self._changed: dict[UUID, dict[CallKey, Entry]] = {}
        self._pending: dict[CallKey, Entry] = {}  # changed by the command that is being decided
        self._summed: set[tuple[UUID, str | None]] = set()  # a step, or a whole execution (None)

    def has(self, call: Call) -> bool:
        """Return whether the call is stored in this state, or in a later one."""
        found = self._find(call.key)
        return found is not None and merge_call(found.call, call) is None

    def replied(self, key: CallKey) -> bool:
        """Return whether the call has its reply."""
        self._summed.add((key.execution_id, key.step_id))
        found = self._find(key)
        return found is not None and found.call.reply is not None

    def bought(self, key: CallKey) -> str | None:
        """Return the request hash of a call that has its reply before it is announced; None: it has no reply.

        The database has lost the start of its step then. Unlike `replied` this needs no check when it is stored: a
        call is announced once.
        """
        found = self._find(key)
        return None if found is None or found.call.reply is None else found.call.request_hash

    def record(self, call: Call) -> None:
        """Announce a new call, or settle a known one; a final state stays."""
        found = self._find(call.key)
        if found is None:
            self._pending[call.key] = Entry(call=call, row=ledger.new_row(), is_new=True)
        elif (merged := merge_call(found.call, call)) is not None:
            self._pending[call.key] = Entry(call=merged, row=found.row, is_new=found.is_new)

    @property
    def is_changing(self) -> bool:
        """Return whether anything was recorded since the last `commit_pending` or `rollback_pending`."""
        return bool(self._pending)

    def commit_pending(self) -> None:
        """Keep what was recorded since the last `commit_pending` or `rollback_pending`."""
        for key, entry in self._pending.items():
            self._changed.setdefault(key.execution_id, {})[key] = entry
        self._pending = {}

    def rollback_pending(self) -> None:
        """Drop what was recorded since the last `commit_pending` or `rollback_pending`."""
        self._pending = {}

    def step_totals(self, execution_id: UUID, step_id: str) -> Totals:
        """Return the sum over a step."""
        self._summed.add((execution_id, step_id))
        return sum_calls(self._calls(execution_id, step_id))

    def totals(self, execution_id: UUID) -> Totals:
        """Return the sum over an execution."""
        self._summed.add((execution_id, None))
        others = self._loaded[execution_id].other_totals
        if others is None:
            raise NeedsMore(Need("totals", execution_id))
        return others + sum_calls(self._calls(execution_id))

    def usage(self, execution_id: UUID) -> BudgetUsage:
        """Return what the execution has used of its budget, reservations included."""
        self._summed.add((execution_id, None))
        others = self._loaded[execution_id].other_usage
        if others is None:
            raise NeedsMore(Need("usage", execution_id))
        return others + usage_of(self._calls(execution_id))

    def added_cost(self, execution_ids: Collection[UUID], *, since: datetime) -> Decimal:
        """Return the US dollars that the batch adds to the calls of executions, of calls that began since then."""
        changed = [*chain.from_iterable(each.values() for each in self._changed.values()), *self._pending.values()]
        mine = {each.call.key: each.call for each in changed if each.call.key.execution_id in execution_ids}
        counted = [call for call in mine.values() if call.started_at >= since]
        before = [found.call for each in counted if (found := self._stored(each.key)) is not None]
        return usage_of(counted).cost_usd - usage_of(before).cost_usd

    def changed(self) -> list[Entry]:
        """Return the calls that were recorded."""
        return [entry for mine in self._changed.values() for entry in mine.values()]

    def writes(self, owners: Mapping[UUID, Execution]) -> Iterator[bulk.Write]:
        """Yield the writes of what was recorded; `StaleCall` where another writer has settled one of the calls.

        With them go checks of sums over cached calls: others may store, and price, calls that the batch does not
        change. Sums that were read under row locks need no check.
        """
        checked = (each for each in self._summed if self._loaded[each[0]].is_complete)
        yield from ledger.version_checks({each: self._versions(*each) for each in checked})
        rows = [(entry, (entry.row, _record(entry, owners[entry.call.key.execution_id]))) for entry in self.changed()]
        yield from ledger.insert_writes([row for entry, row in rows if entry.is_new])
        yield from ledger.update_writes([row for entry, row in rows if not entry.is_new])

    def _versions(self, execution_id: UUID, step_id: str | None) -> int:
        """Return the sum over the versions of the stored rows: it rises with every change of a row."""
        by_step = self._loaded[execution_id].by_step
        steps = by_step.values() if step_id is None else [by_step.get(step_id, {})]
        return sum(entry.row.version for step in steps for entry in step.values())

    def _find(self, key: CallKey) -> Entry | None:
        return self._pending.get(key) or self._changed.get(key.execution_id, {}).get(key) or self._stored(key)

    def _stored(self, key: CallKey) -> Entry | None:
        return self._step(key.execution_id, key.step_id).get(key)

    def _step(self, execution_id: UUID, step_id: str) -> Mapping[CallKey, Entry]:
        loaded = self._loaded[execution_id]
        found = loaded.by_step.get(step_id)
        if found is None and not loaded.is_complete:
            raise NeedsMore(Need("calls", execution_id, step_id))
        return found or {}

    def _calls(self, execution_id: UUID, step_id: str | None = None) -> list[Call]:
        """Return the loaded calls as the batch leaves them."""
        steps = self._loaded[execution_id].by_step.values() if step_id is None else [self._step(execution_id, step_id)]
        found = {key: entry for step in steps for key, entry in step.items()}
        mine = self._changed.get(execution_id, {})
        pending = ((key, entry) for key, entry in self._pending.items() if key.execution_id == execution_id)
        for key, entry in chain(mine.items(), pending):
            if step_id is None or key.step_id == step_id:
                found[key] = entry
        return [entry.call for entry in found.values()]


def entry_of(known: ledger.KnownCall) -> Entry:
    """Return a stored call."""
    row = ledger.CallRow(row_id=known.row_id, version=known.version, erased_at=known.record.erased_at)
    return Entry(call=_call(known.record, replied=known.has_reply), row=row)


def all_calls_of(execution_ids: Iterable[UUID], found: Iterable[ledger.KnownCall] = ()) -> dict[UUID, LoadedCalls]:
    """Return the calls of executions: these are all that they have."""
    loaded = {
        each: LoadedCalls(is_complete=True, other_totals=Totals(), other_usage=NO_USAGE) for each in execution_ids
    }
    for entry in map(entry_of, found):
        add(entry, to=loaded)
    return loaded


def add(entry: Entry, *, to: Mapping[UUID, LoadedCalls]) -> None:
    """Add a call to the calls of its execution, or replace it there."""
    key = entry.call.key
    to[key.execution_id].by_step.setdefault(key.step_id, {})[key] = entry


def as_stored(changed: Entry) -> Entry:
    """Return a call once it is stored, to be cached: without the reply's content."""
    call, row = changed.call, changed.row
    if (reply := call.reply) is not None:
        call = replace(call, reply=reply.model_copy(update={"tool_calls": (), "text": "", "raw": None}))
    version = row.version if changed.is_new else row.version + 1
    return Entry(call=call, row=ledger.CallRow(row_id=row.row_id, version=version, erased_at=row.erased_at))


async def calls_of(execution_id: UUID, step_id: str) -> list[Call]:
    """Return a step's calls with their replies, oldest first."""
    records = await retry_while_unavailable(ledger.calls_of, execution_id, step_id)
    return [_call(each, replied=each.reply is not None) for each in records]


_NO_REPLY = ModelReply(provider="", model="")
_USAGE = tuple(Usage.model_fields)
_COLUMNS = {"cost_usd", "billing"}  # of a reply, what stands beside it; the rest of it is one text


def without_texts(call: Call) -> Call:
    """Return a call with what it used and cost alone: its texts were erased, or are not needed."""
    if call.reply is None:
        return replace(call, error="")
    reply = call.reply.model_copy(update={"tool_calls": (), "text": "", "raw": None})
    return replace(call, reply=reply, error="")


def _record(entry: Entry, execution: Execution) -> ledger.CallRecord:
    call, erased_at = entry.call, entry.row.erased_at or execution.erased_at
    if erased_at is not None:  # a reply that came later
        call = without_texts(call)
    reply = call.reply or _NO_REPLY
    return ledger.CallRecord(
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
        reply=None if call.reply is None else call.reply.model_dump(mode="json", exclude=_COLUMNS),
        billing=reply.billing,
        **{name: getattr(reply.usage, name) for name in _USAGE},
        cost_usd=reply.cost_usd,
        estimated_cost_usd=call.estimated_cost_usd,
        reserved_tokens=call.reserved_tokens,
        latency_ms=None if call.reply is None else reply.latency_ms,
        error=call.error,
        finished_at=call.finished_at,
        erased_at=erased_at,
    )


def _call(record: ledger.CallRecord, *, replied: bool) -> Call:
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


def _reply(record: ledger.CallRecord) -> ModelReply:
    if record.reply is not None:  # what it cost is known by its column: another price may have been found since
        known = {"cost_usd": record.cost_usd, "billing": record.billing}
        return ModelReply.model_validate(record.reply).model_copy(update=known)
    usage = Usage.model_construct(**{name: getattr(record, name) for name in Usage.model_fields})
    return ModelReply.model_construct(
        provider=record.provider, model=record.model, usage=usage, cost_usd=record.cost_usd
    )
