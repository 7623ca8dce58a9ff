"""The engine's call ledger, stored in the tables of `telemetry`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import chain
from uuid import UUID

from common.database import bulk
from executions.db_threads import retry_while_unavailable
from executions.engine.domain.budget_usage import BudgetUsage, usage_of
from executions.engine.domain.calls import Call, CallKey, ModelReply, Totals, Usage, merge_call, sum_calls
from executions.engine.domain.copying import replace
from executions.engine.domain.execution import Execution
from executions.engine.domain.retries import NOT_SENT
from executions.engine.domain.states import CallKind, CallStatus
from telemetry import ledger, selectors
from telemetry.budgets import scope_budgets, spending


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A call in a unit of work: its new value, and its current or future row."""

    call: Call
    row: ledger.CallRow
    is_new: bool = False  # the row has not been inserted yet
    changed: bool = False


CallsByStep = dict[str, dict[CallKey, Entry]]  # all calls of an execution, by step


class CallUnitOfWork:
    """The calls that one transaction reads and changes."""

    def __init__(self, cached: Mapping[UUID, CallsByStep] | None = None) -> None:
        """Start a unit of work. Executions in `books` need no further queries; the rows of all others are locked."""
        self._cached = {} if cached is None else cached
        self._entries: dict[UUID, dict[CallKey, Entry]] = {}  # queried or changed calls, by execution
        self._steps: set[tuple[UUID, str]] = set()  # steps whose calls have all been loaded
        self._pending: dict[CallKey, Entry] = {}  # changes of the current decision
        # cached sums that were used: of a step, or of the execution (None)
        self._version_checks: set[tuple[UUID, str | None]] = set()
        self._loaded: dict[UUID, list[ledger.CallRecord]] = {}  # records as they were loaded, by execution
        self._scope_sums: dict[UUID, bulk.Answer[Decimal]] = {}  # monthly cost by scope, as loaded

    @property
    def cached(self) -> Mapping[UUID, CallsByStep]:
        """The cached calls that the unit of work was started with."""
        return self._cached

    def load(self, steps: Collection[tuple[UUID, str]]) -> None:
        """Load the calls of steps, given by execution and step id."""
        self.take(steps, ledger.known_of_steps(steps))

    def take(self, steps: Collection[tuple[UUID, str]], calls: bulk.Answer[list[ledger.KnownCall]]) -> None:
        """Add calls that were queried for steps, given by execution and step id. No step has been loaded before."""
        for known in calls.value:
            loaded = entry(known)
            key = loaded.call.key
            self._entries.setdefault(key.execution_id, {})[key] = loaded
            self._loaded.setdefault(key.execution_id, []).append(known.record)
        self._steps |= set(steps)

    def ask_scope(self, scope_id: UUID, *, now: datetime) -> bulk.Answer[Decimal]:
        """Query a scope's cost in this month, once per unit of work."""
        if scope_id not in self._scope_sums:
            self._scope_sums[scope_id] = scope_budgets.spent(scope_id, now=now)
        return self._scope_sums[scope_id]

    def has(self, call: Call) -> bool:
        """Return whether the stored call already has this status, or a later one."""
        existing = self._get(call.key)
        return existing is not None and merge_call(existing.call, call) is None

    def replied(self, key: CallKey) -> bool:
        """Return whether the call has its reply."""
        if key.execution_id in self._cached:
            self._version_checks.add((key.execution_id, key.step_id))
        existing = self._get(key)
        return existing is not None and existing.call.reply is not None

    def bought(self, key: CallKey) -> str | None:
        """Return the request hash of a call that has its reply before it was recorded; None: it has no reply.

        This happens if the database has lost the start of the call's step. Unlike `replied`, this needs no version
        check at the write, because a call is recorded only once.
        """
        self._ensure_loaded(key)
        existing = self._get(key)
        return None if existing is None or existing.call.reply is None else existing.call.request_hash

    def _ensure_loaded(self, key: CallKey) -> None:
        step = (key.execution_id, key.step_id)
        if key.execution_id not in self._cached and step not in self._steps:
            self.load({step})

    def record(self, call: Call) -> None:
        """Record a new call, or update a known one; a final status does not change."""
        self._ensure_loaded(call.key)
        existing = self._get(call.key)
        if existing is None:
            self._pending[call.key] = Entry(call=call, row=ledger.new_row(), is_new=True, changed=True)
        elif (updated := merge_call(existing.call, call)) is not None:
            self._pending[call.key] = Entry(call=updated, row=existing.row, is_new=existing.is_new, changed=True)

    @property
    def is_changing(self) -> bool:
        """Whether anything was recorded since the last `commit_pending` or `rollback_pending`."""
        return bool(self._pending)

    def commit_pending(self) -> None:
        """Keep what was recorded since the last `commit_pending` or `rollback_pending`."""
        for key, entry in self._pending.items():
            self._entries.setdefault(key.execution_id, {})[key] = entry
        self._pending = {}

    def rollback_pending(self) -> None:
        """Discard what was recorded since the last `commit_pending` or `rollback_pending`."""
        self._pending = {}

    def step_totals(self, execution_id: UUID, step_id: str) -> Totals:
        """Return the totals of a step."""
        if execution_id in self._cached:
            self._version_checks.add((execution_id, step_id))
        elif (execution_id, step_id) not in self._steps:
            self.load({(execution_id, step_id)})
        return sum_calls(entry.call for entry in self._of(execution_id, step_id))

    def totals(self, execution_id: UUID) -> Totals:
        """Return the totals of an execution: of the calls loaded here, and of the other rows in the table."""
        entries = self._of(execution_id)
        loaded_totals = sum_calls(entry.call for entry in entries)
        if execution_id in self._cached:
            self._version_checks.add((execution_id, None))
            return loaded_totals
        stored = selectors.execution_totals(execution_id, but=_rows(entries))
        stored_totals = Totals(
            calls=stored.calls,
            usage=Usage(**{name: getattr(stored, name) for name in Usage.model_fields}),
            known_cost_usd=stored.known_cost_usd,
            unpriced_calls=stored.unpriced_calls,
            cost_final=stored.cost_final,
        )
        return stored_totals + loaded_totals

    def spent(self, execution_id: UUID) -> BudgetUsage:
        """Return the execution's budget usage: of the calls loaded here, and of the other rows in the table."""
        entries = self._of(execution_id)
        loaded_usage = usage_of(entry.call for entry in entries)
        if execution_id in self._cached:
            self._version_checks.add((execution_id, None))
            return loaded_usage
        stored = spending.execution_spent(execution_id, withdrawn=NOT_SENT, but=_rows(entries))
        return BudgetUsage(cost_usd=stored.cost_usd, tokens=stored.tokens, calls=stored.calls) + loaded_usage

    def scope_spent(self, scope_id: UUID, execution_ids: Collection[UUID], *, now: datetime) -> Decimal:
        """Return the US dollars of a scope in this month; `execution_ids` are the scope's executions loaded here."""
        month = scope_budgets.month_of(now)
        records = (record for execution_id in execution_ids for record in self._loaded.get(execution_id, ()))
        loaded_cost = sum(
            (scope_budgets.counted(record) for record in records if record.started_at >= month), start=Decimal(0)
        )
        calls = (entry.call for execution_id in execution_ids for entry in self._of(execution_id))
        return (
            self.ask_scope(scope_id, now=now).value
            - loaded_cost
            + usage_of(call for call in calls if call.started_at >= month).cost_usd
        )

    def changed(self) -> list[Entry]:
        """Return the recorded changes."""
        return [entry for entries in self._entries.values() for entry in entries.values() if entry.changed]

    def writes(self, owners: Mapping[UUID, Execution]) -> Iterator[bulk.Write]:
        """Yield the writes of the changes.

        They raise `StaleCall` if another transaction has completed one of the calls.

        They include version checks of the cached sums that were used, because other transactions may change those rows.
        """
        yield from ledger.version_checks({key: self._versions(*key) for key in self._version_checks})
        rows = [
            (entry, (entry.row, _record(entry.call, owners[entry.call.key.execution_id]))) for entry in self.changed()
        ]
        yield from ledger.insert_writes([row for entry, row in rows if entry.is_new])
        yield from ledger.update_writes([row for entry, row in rows if not entry.is_new])

    def _versions(self, execution_id: UUID, step_id: str | None) -> int:
        """Return the sum of the row versions in a cached step or execution: every change of a row increases it."""
        calls_by_step = self._cached[execution_id]
        steps = calls_by_step.values() if step_id is None else [calls_by_step.get(step_id, {})]
        return sum(entry.row.version for step in steps for entry in step.values())

    def _get(self, key: CallKey) -> Entry | None:
        existing = self._pending.get(key) or self._entries.get(key.execution_id, {}).get(key)
        if existing is None and (calls_by_step := self._cached.get(key.execution_id)) is not None:
            return calls_by_step.get(key.step_id, {}).get(key)
        return existing

    def _of(self, execution_id: UUID, step_id: str | None = None) -> list[Entry]:
        calls_by_step = self._cached.get(execution_id, {})
        steps = calls_by_step.values() if step_id is None else [calls_by_step.get(step_id, {})]
        merged = {key: entry for step in steps for key, entry in step.items()}
        loaded = self._entries.get(execution_id, {})
        pending = ((key, entry) for key, entry in self._pending.items() if key.execution_id == execution_id)
        for key, entry in chain(loaded.items(), pending):
            if step_id is None or key.step_id == step_id:
                merged[key] = entry
        return list(merged.values())


def entry(known: ledger.KnownCall) -> Entry:
    """Return the entry of a call as it was read from the ledger."""
    row = ledger.CallRow(row_id=known.row_id, version=known.version)
    return Entry(call=_call(known.record, replied=known.replied), row=row)


def without_reply(changed: Entry) -> Entry:
    """Return the entry as it is cached after the commit: without the content of the reply."""
    call, row = changed.call, changed.row
    if (reply := call.reply) is not None:
        call = replace(call, reply=reply.model_copy(update={"tool_calls": (), "text": "", "raw": None}))
    stored = ledger.CallRow(row_id=row.row_id, version=row.version if changed.is_new else row.version + 1)
    return Entry(call=call, row=stored)


def _rows(entries: Iterable[Entry]) -> list[UUID]:
    """Return the ids of the rows that exist."""
    return [entry.row.row_id for entry in entries if not entry.is_new]


async def calls_of(execution_id: UUID, step_id: str) -> list[Call]:
    """Return a step's calls with their replies, oldest first."""
    records = await retry_while_unavailable(ledger.calls_of, execution_id, step_id)
    return [_call(record, replied=record.reply is not None) for record in records]


_NO_REPLY = ModelReply(provider="", model="")
_USAGE = tuple(Usage.model_fields)
# fields of a reply with columns of their own; the other fields are stored as one JSON text
_COLUMNS = {"cost_usd", "billing"}


def _record(call: Call, execution: Execution) -> ledger.CallRecord:
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
    )


def _call(record: ledger.CallRecord, *, replied: bool) -> Call:
    """Return the call. If the reply was not read, it contains only usage and cost."""
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
    if record.reply is not None:  # the cost column counts: the call may have been repriced
        columns = {"cost_usd": record.cost_usd, "billing": record.billing}
        return ModelReply.model_validate(record.reply).model_copy(update=columns)
    usage = Usage.model_construct(**{name: getattr(record, name) for name in Usage.model_fields})
    return ModelReply.model_construct(
        provider=record.provider, model=record.model, usage=usage, cost_usd=record.cost_usd
    )
