"""The engine's ledger on the rows of `telemetry`."""

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
    """A call on the page: as it shall be, and the row that it has or gets."""

    call: Call
    row: ledger.CallRow
    is_new: bool = False  # the row is not there yet
    changed: bool = False


CallsByStep = dict[str, dict[CallKey, Entry]]  # all calls of an execution, by step


class CallUnitOfWork:
    """The calls that one transaction looks at, and what it does to them."""

    def __init__(self, cached: Mapping[UUID, CallsByStep] | None = None) -> None:
        """Begin a page; of executions that have a book nothing else is looked up. The others are locked."""
        self._books = {} if cached is None else cached
        self._entries: dict[UUID, dict[CallKey, Entry]] = {}  # looked up, or changed, by execution
        self._steps: set[tuple[UUID, str]] = set()  # steps all of whose calls are here
        self._tried: dict[CallKey, Entry] = {}  # by the decision under way
        self._added_up: set[tuple[UUID, str | None]] = set()  # of books: a step, or the whole (None)
        self._found: dict[UUID, list[ledger.CallRecord]] = {}  # as they were looked up, by execution
        self._scope_sums: dict[UUID, bulk.LazyResult[Decimal]] = {}  # of the month, as they were looked up

    @property
    def cached(self) -> Mapping[UUID, CallsByStep]:
        """The books that it was begun with."""
        return self._books

    def load(self, steps: Collection[tuple[UUID, str]]) -> None:
        """Bring in the calls of steps, named by execution and step id."""
        self.take(steps, ledger.known_calls_of_steps(steps))

    def take(self, steps: Collection[tuple[UUID, str]], calls: bulk.LazyResult[list[ledger.KnownCall]]) -> None:
        """Bring in what was asked for about steps, named by execution and step id; none of them is here yet."""
        for known in calls.value:
            found = entry(known)
            key = found.call.key
            self._entries.setdefault(key.execution_id, {})[key] = found
            self._found.setdefault(key.execution_id, []).append(known.record)
        self._steps |= set(steps)

    def ask_scope(self, scope_id: UUID, *, now: datetime) -> bulk.LazyResult[Decimal]:
        """Ask, once, what a scope has spent in this month."""
        if scope_id not in self._scope_sums:
            self._scope_sums[scope_id] = scope_budgets.monthly_spending(scope_id, now=now)
        return self._scope_sums[scope_id]

    def has(self, call: Call) -> bool:
        """Whether the call is there already as it shall be, or further on."""
        found = self._find(call.key)
        return found is not None and merge_call(found.call, call) is None

    def replied(self, key: CallKey) -> bool:
        """Whether the call has its reply."""
        if key.execution_id in self._books:
            self._added_up.add((key.execution_id, key.step_id))
        found = self._find(key)
        return found is not None and found.call.reply is not None

    def bought(self, key: CallKey) -> str | None:
        """Return the request hash of a call that has its reply before it is announced; None: it has none.

        The database has lost the start of its step then.

        Unlike `replied` this needs no second look as it is written: a call is announced once.
        """
        self._look_up(key)
        found = self._find(key)
        return None if found is None or found.call.reply is None else found.call.request_hash

    def _look_up(self, key: CallKey) -> None:
        step = (key.execution_id, key.step_id)
        if key.execution_id not in self._books and step not in self._steps:
            self.load({step})

    def record(self, call: Call) -> None:
        """Announce a new call, or settle a known one; what was settled for good stays."""
        self._look_up(call.key)
        found = self._find(call.key)
        if found is None:
            self._tried[call.key] = Entry(call=call, row=ledger.new_row(), is_new=True, changed=True)
        elif (becomes := merge_call(found.call, call)) is not None:
            self._tried[call.key] = Entry(call=becomes, row=found.row, is_new=found.is_new, changed=True)

    @property
    def is_changing(self) -> bool:
        """Whether anything was recorded since the last `commit_pending` or `rollback_pending`."""
        return bool(self._tried)

    def commit_pending(self) -> None:
        """Stand by what was recorded since the last `commit_pending` or `rollback_pending`."""
        for key, entry in self._tried.items():
            self._entries.setdefault(key.execution_id, {})[key] = entry
        self._tried = {}

    def rollback_pending(self) -> None:
        """Take back what was recorded since the last `commit_pending` or `rollback_pending`."""
        self._tried = {}

    def step_totals(self, execution_id: UUID, step_id: str) -> Totals:
        """Return the sum over a step."""
        if execution_id in self._books:
            self._added_up.add((execution_id, step_id))
        elif (execution_id, step_id) not in self._steps:
            self.load({(execution_id, step_id)})
        return sum_calls(entry.call for entry in self._of(execution_id, step_id))

    def totals(self, execution_id: UUID) -> Totals:
        """Return the sum over an execution: of what is here, and of what is in the table alone."""
        mine = self._of(execution_id)
        here = sum_calls(entry.call for entry in mine)
        if execution_id in self._books:
            self._added_up.add((execution_id, None))
            return here
        rest = selectors.execution_totals(execution_id, excluded=_rows(mine))
        others = Totals(
            calls=rest.calls,
            usage=Usage(**{name: getattr(rest, name) for name in Usage.model_fields}),
            known_cost_usd=rest.known_cost_usd,
            unpriced_calls=rest.unpriced_calls,
            cost_final=rest.cost_final,
        )
        return others + here

    def spent(self, execution_id: UUID) -> BudgetUsage:
        """Return what the execution has used, or may still use: by what is here, and by what is in the table alone."""
        mine = self._of(execution_id)
        here = usage_of(entry.call for entry in mine)
        if execution_id in self._books:
            self._added_up.add((execution_id, None))
            return here
        rest = spending.execution_usage(execution_id, withdrawn=NOT_SENT, excluded=_rows(mine))
        return BudgetUsage(cost_usd=rest.cost_usd, tokens=rest.tokens, calls=rest.calls) + here

    def scope_spent(self, scope_id: UUID, execution_ids: Collection[UUID], *, now: datetime) -> Decimal:
        """Return the US dollars of a scope in this month; `execution_ids` are those of it that are looked at here."""
        month = scope_budgets.month_start(now)
        found = (record for execution_id in execution_ids for record in self._found.get(execution_id, ()))
        before = sum((scope_budgets.counted_cost(each) for each in found if each.started_at >= month), start=Decimal(0))
        mine = (entry.call for execution_id in execution_ids for entry in self._of(execution_id))
        return (
            self.ask_scope(scope_id, now=now).value
            - before
            + usage_of(call for call in mine if call.started_at >= month).cost_usd
        )

    def changed(self) -> list[Entry]:
        """Return what was recorded."""
        return [entry for mine in self._entries.values() for entry in mine.values() if entry.changed]

    def writes(self, owners: Mapping[UUID, Execution]) -> Iterator[bulk.Write]:
        """Yield the writes of what was recorded; `StaleCall` where somebody else has settled one of the calls.

        With them goes a look at what was added up from books: others may book, and price, what they do not change.
        """
        yield from ledger.version_checks({each: self._versions(*each) for each in self._added_up})
        rows = [
            (entry, (entry.row, _record(entry.call, owners[entry.call.key.execution_id]))) for entry in self.changed()
        ]
        yield from ledger.insert_writes([row for entry, row in rows if entry.is_new])
        yield from ledger.update_writes([row for entry, row in rows if not entry.is_new])

    def _versions(self, execution_id: UUID, step_id: str | None) -> int:
        """Return the sum over the versions of the rows in a book: it rises with whatever happens to one."""
        book = self._books[execution_id]
        steps = book.values() if step_id is None else [book.get(step_id, {})]
        return sum(entry.row.version for step in steps for entry in step.values())

    def _find(self, key: CallKey) -> Entry | None:
        found = self._tried.get(key) or self._entries.get(key.execution_id, {}).get(key)
        if found is None and (book := self._books.get(key.execution_id)) is not None:
            return book.get(key.step_id, {}).get(key)
        return found

    def _of(self, execution_id: UUID, step_id: str | None = None) -> list[Entry]:
        book = self._books.get(execution_id, {})
        steps = book.values() if step_id is None else [book.get(step_id, {})]
        found = {key: entry for step in steps for key, entry in step.items()}
        mine = self._entries.get(execution_id, {})
        tried = ((key, entry) for key, entry in self._tried.items() if key.execution_id == execution_id)
        for key, entry in chain(mine.items(), tried):
            if step_id is None or key.step_id == step_id:
                found[key] = entry
        return list(found.values())


def entry(known: ledger.KnownCall) -> Entry:
    """Return a call as it was found in the ledger."""
    row = ledger.CallRow(row_id=known.row_id, version=known.version)
    return Entry(call=_call(known.record, replied=known.has_reply), row=row)


def without_reply(changed: Entry) -> Entry:
    """Return what is to be remembered of an entry once it is stored: without the reply itself."""
    call, row = changed.call, changed.row
    if (reply := call.reply) is not None:
        call = replace(call, reply=reply.model_copy(update={"tool_calls": (), "text": "", "raw": None}))
    stored = ledger.CallRow(row_id=row.row_id, version=row.version if changed.is_new else row.version + 1)
    return Entry(call=call, row=stored)


def _rows(entries: Iterable[Entry]) -> list[UUID]:
    """Return the ids of those rows that are there."""
    return [each.row.row_id for each in entries if not each.is_new]


async def calls_of(execution_id: UUID, step_id: str) -> list[Call]:
    """Return a step's calls with their replies, oldest first."""
    records = await retry_while_unavailable(ledger.calls_of, execution_id, step_id)
    return [_call(each, replied=each.reply is not None) for each in records]


_NO_REPLY = ModelReply(provider="", model="")
_USAGE = tuple(Usage.model_fields)
_COLUMNS = {"cost_usd", "billing"}  # of a reply, what stands beside it; the rest of it is one text


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
