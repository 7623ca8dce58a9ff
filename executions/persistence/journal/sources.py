"""Sources of snapshots in the database: a plain read for the cache, and rows that are locked FOR UPDATE."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from common.database import bulk
from documents import repository as documents
from executions.engine.domain.budget_usage import BudgetUsage
from executions.engine.domain.calls import Call, Totals, Usage
from executions.engine.domain.execution import Execution
from executions.engine.domain.retries import NOT_SENT
from executions.engine.domain.states import CallStatus
from executions.engine.ports import Transition
from executions.persistence import call_ledger, repositories
from executions.persistence.call_ledger import LoadedCalls, Need
from executions.persistence.from_rows import QUERIES, from_rows
from executions.persistence.journal.connection import PipelineConnection
from executions.persistence.journal.decisions import (
    Command,
    Heads,
    Snapshot,
    documents_of,
    execution_of,
    starting_scopes,
    unstarted_scopes,
)
from telemetry import ledger, selectors, spending


async def read(
    execution_ids: Collection[UUID],
    scope_ids: Collection[UUID],
    connection: PipelineConnection,
    *,
    needs_locks: Callable[[Execution], bool],
) -> Snapshot:
    """Read executions with their calls, and heads of documents; of executions that need locks no calls.

    Raises:
        DatabaseUnavailable: the database cannot be used now.
    """
    # The executions first: a later change of a call that matters to them changes their version.
    rows = await connection.fetch_all([(query, [list(execution_ids)]) for query in QUERIES])
    executions = from_rows(*rows)
    cached = [each.id for each in executions.values() if not needs_locks(each)]
    scopes = {*scope_ids, *(each.scope.id for each in executions.values())}
    scopes |= {scope_id for each in executions.values() for scope_id in unstarted_scopes(each)}
    calls, heads = await connection.fetch_all(
        [(ledger.SELECT_CALLS_OF_EXECUTIONS, [cached]), (documents.SELECT_HEADS, [list(scopes)])]
    )
    return Snapshot(
        executions=executions,
        calls=call_ledger.all_calls_of(cached, ledger.known_calls(calls)),
        heads=_heads_of(documents.heads(heads), scopes),
    )


def lock(
    commands: Sequence[Command],
    *,
    known: Mapping[UUID, Execution],
    known_heads: Mapping[UUID, Heads] = MappingProxyType({}),
    now: datetime,
) -> Snapshot:
    """Lock and read what commands are decided on, in the order of all transactions.

    First executions, then budgets of scopes, then scopes with heads of documents, each in order of id.

    Args:
        commands: What is to be decided.
        known: Executions that may still be current. If all are known, the rest is read in the same round trip.
        known_heads: Heads of scopes in which steps start, which may still be current.
        now: The present moment.
    """
    wanted = {execution_of(each) for each in commands}

    def query(executions: Mapping[UUID, Execution]) -> _LockQueries:
        return _LockQueries(
            _needs_of(commands, executions, known_heads),
            now=now,
            budgets_of={each.scope.id for each in executions.values()},
            heads={(each.scope_id, each.type) for each in documents_of(commands)},
        )

    with bulk.pipeline():
        bulk.prefer_indexes()
        versions = repositories.lock_rows(wanted)
        queries = query(known) if wanted <= known.keys() else None
    executions = repositories.locked(versions, known=known)
    if queries is None:
        with bulk.pipeline():
            queries = query(executions)
    calls = {each: LoadedCalls() for each in executions}
    cached = frozenset(known_heads)
    return queries.add_to(
        Snapshot(executions=executions, calls=calls, heads=dict(known_heads), cached_heads=cached, is_locked=True)
    )


def load_more(snapshot: Snapshot, needs: Collection[Need], *, now: datetime) -> Snapshot:
    """Return a locked snapshot with what it lacked."""
    with bulk.pipeline():
        queries = _LockQueries(needs, now=now)
    return queries.add_to(snapshot)


class _LockQueries:
    """Queries under row locks. They are sent when this is made; `add_to` waits for their rows."""

    def __init__(
        self,
        needs: Collection[Need],
        *,
        now: datetime,
        budgets_of: Collection[UUID] = (),
        heads: Collection[documents.Key] = (),
    ) -> None:
        """Lock budgets of scopes and heads of documents, and read calls between them and other heads after them."""
        self._needs = needs
        self._budgets = spending.lock_budgets(budgets_of)
        self._calls = ledger.known_calls_of_steps({(each.id, each.step_id) for each in needs if each.kind == "calls"})
        self._spending = {
            each.id: spending.monthly_spending(each.id, now=now) for each in needs if each.kind == "spending"
        }
        locked = {scope_id for scope_id, _ in heads}
        read = {each.id for each in needs if each.kind == "heads"}
        self._scopes = locked | read
        self._heads = documents.lock_heads(heads, also=read - locked)

    def add_to(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot with what was found."""
        sums = {each: found.value for each, found in self._spending.items()}
        calls = self._add_calls(dict(snapshot.calls))
        found = ((*key, head) for key, head in self._heads.value.items())
        return replace(
            snapshot,
            calls=calls,
            heads={**snapshot.heads, **_heads_of(found, self._scopes)},
            cached_heads=snapshot.cached_heads - self._scopes,
            scope_budgets={**snapshot.scope_budgets, **self._budgets.value},
            scope_spending={**snapshot.scope_spending, **sums},
        )

    def _add_calls(self, loaded: dict[UUID, LoadedCalls]) -> dict[UUID, LoadedCalls]:
        for need in self._needs:
            if need.kind == "calls" and need.id in loaded:  # sums that were read before include these calls
                loaded[need.id] = LoadedCalls(by_step={**loaded[need.id].by_step, need.step_id: {}})
        for found in self._calls.value:
            if found.record.execution_id in loaded:  # the ledger keeps calls of executions that are gone
                call_ledger.add(call_ledger.entry_of(found), to=loaded)
        for need in self._needs:
            if need.kind == "totals":
                loaded[need.id] = replace(loaded[need.id], other_totals=_other_totals(need.id, loaded[need.id]))
            elif need.kind == "usage":
                loaded[need.id] = replace(loaded[need.id], other_usage=_other_usage(need.id, loaded[need.id]))
        return loaded


def _other_totals(execution_id: UUID, loaded: LoadedCalls) -> Totals:
    rest = selectors.execution_totals(execution_id, excluded=_row_ids(loaded))
    return Totals(
        calls=rest.calls,
        usage=Usage(**{name: getattr(rest, name) for name in Usage.model_fields}),
        known_cost_usd=rest.known_cost_usd,
        unpriced_calls=rest.unpriced_calls,
        cost_final=rest.cost_final,
    )


def _other_usage(execution_id: UUID, loaded: LoadedCalls) -> BudgetUsage:
    rest = spending.execution_usage(execution_id, withdrawn=NOT_SENT, excluded=_row_ids(loaded))
    return BudgetUsage(cost_usd=rest.cost_usd, tokens=rest.tokens, calls=rest.calls)


def _row_ids(loaded: LoadedCalls) -> list[UUID]:
    return [entry.row.row_id for step in loaded.by_step.values() for entry in step.values()]


def _heads_of(found: Iterable[tuple[UUID, str, documents.Head]], scope_ids: Collection[UUID] = ()) -> dict[UUID, Heads]:
    heads: dict[UUID, Heads] = {each: {} for each in scope_ids}
    for scope_id, kind, head in found:
        heads.setdefault(scope_id, {})[kind] = head
    return heads


def _needs_of(
    commands: Sequence[Command], executions: Mapping[UUID, Execution], known_heads: Collection[UUID]
) -> set[Need]:
    """Return what decisions about commands will surely need."""
    steps = {Need("calls", *step) for each in commands for step in _steps_of(each, executions)}
    calls = (call for each in commands if isinstance(each, Transition) for call in each.calls)
    starting = {call.key.execution_id for call in calls if call.status is CallStatus.PENDING}
    scopes = {executions[each].scope.id for each in starting & executions.keys()}
    budgeted = {Need("spending", each) for each in spending.budgeted_among(scopes)}
    heads = _starting_scopes(commands, executions).difference(known_heads)
    if heads:  # the other steps start soon, too
        heads |= {scope_id for each in executions.values() for scope_id in unstarted_scopes(each)}
    return steps | budgeted | {Need("heads", each) for each in heads.difference(known_heads)}


def _starting_scopes(commands: Sequence[Command], executions: Mapping[UUID, Execution]) -> set[UUID]:
    """Return the scopes of the documents of steps that commands may start, or add and start."""
    new = {
        scope_id
        for each in commands
        if isinstance(each, Transition) and each.execution_id in executions
        for step_id, scope_id in each.may_start
        if step_id not in executions[each.execution_id].steps
    }
    return new | starting_scopes(commands, executions)


def _steps_of(command: Command, executions: Mapping[UUID, Execution]) -> Iterator[tuple[UUID, str]]:
    """Yield the steps, by execution and step id, whose calls decide about a command: also those that it may start."""
    for call in (command,) if isinstance(command, Call) else command.calls:
        yield call.key.execution_id, call.key.step_id
    if isinstance(command, Transition):
        yield from ((command.execution_id, step_id) for step_id, _ in command.may_start)
    if isinstance(command, Transition) and command.document is not None and command.document.step_id is not None:
        made = command.document.step_id
        yield command.execution_id, made
        if command.execution_id in executions:
            following = executions[command.execution_id].steps.values()
            yield from ((command.execution_id, each.step_id) for each in following if made in each.depends_on)
