"""Many transitions in one transaction, under locks: all of each or nothing of it.

Rows are locked in one order (executions, then the heads of documents, each by id), what a transition needs is decided
in Python on the values under the locks. One guarded statement writes what was decided, and travels with COMMIT.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import DataError, transaction

from common.database import bulk
from common.database.server import server
from common.errors import VersionConflict
from documents import repository as documents
from executions.engine.domain.calls import Call
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import CallStatus
from executions.engine.ports import Transition
from executions.persistence import call_ledger, repositories
from executions.persistence.journal.decisions import Command, DecisionBatch, Outcome, documents_of, execution_of
from executions.persistence.notifier import announce
from telemetry import ledger as recorder
from telemetry.budgets import scope_budgets


class Batch:
    """One transaction's worth of items, in the order in which they came."""

    def __init__(
        self,
        items: Sequence[Command],
        *,
        now: datetime,
        known: Mapping[UUID, Execution],
        lost: Collection[Command] = (),
    ) -> None:
        """Prepare to store items.

        Args:
            items: What is to be stored.
            now: The present moment.
            known: Executions as they may still be.
            lost: Items that may have been stored already.
        """
        self._items = items
        self._now = now
        self._known = known
        self._lost = lost
        self.server_changes = server.changes
        self._before: Mapping[UUID, Execution] = {}  # the executions, as they were found
        self.known_by_calls: Sequence[Command] = ()  # items whose calls tell whether they were stored
        self.heads: Mapping[documents.Key, documents.Head] = {}  # of the documents, as they were found

    def commit(self) -> list[Outcome]:
        """Store what can be stored; return for each item the execution as it left it, or why nothing was stored.

        Raises:
            VersionConflict: a writer without locks has changed a row meanwhile; no item was stored.
                Within a transaction of the caller its COMMIT is refused instead (`bulk.is_refusal`).
        """
        try:
            return self._commit()
        except DataError as error:
            if not bulk.is_refusal(error):
                raise
            versions = (each.version for each in self._before.values())
            raise VersionConflict("The execution", expected=max(versions, default=0)) from error

    @transaction.atomic
    def _commit(self) -> list[Outcome]:
        decisions = self._lock()
        self._before = decisions.before
        outcomes = [_outcome(decisions, item) for item in self._items]
        self.known_by_calls = decisions.known_by_calls
        self._write(decisions)
        return outcomes

    def _lock(self) -> DecisionBatch:
        """Lock the rows, and look up what is decided on; what is known beforehand to be needed is asked for at once."""
        known = self._known if server.changes == self.server_changes else {}  # this connection's may be another
        wanted = {execution_of(item) for item in self._items}
        ask = partial(_Asked, self._items, now=self._now)
        with bulk.pipeline():
            bulk.prefer_indexes()
            versions = repositories.lock_rows(wanted)
            asked = ask(known) if wanted <= known.keys() else None
        executions = repositories.locked(versions, known=known)
        if asked is None:
            with bulk.pipeline():
                asked = ask(executions)
        self.heads = asked.heads.value
        return DecisionBatch(
            executions,
            page=asked.page(),
            heads=self.heads,
            now=self._now,
            scope_budgets=asked.budgets.value,
            lost=self._lost,
        )

    def _write(self, decisions: DecisionBatch) -> None:
        """Have the one statement of all writes travel with the COMMIT."""
        documents.store_schemas(repositories.stored_document(each) for each in decisions.documents)
        bulk.write_single_statement_later([*decisions.writes()])
        for execution_id in decisions.discarded:
            recorder.discard_pending(execution_id, now=self._now)
        transaction.on_commit(partial(announce, *(stored.id for _, stored in decisions.pairs)))


class _Asked:
    """What was asked for about executions whose rows are locked: budgets and heads of documents are locked with it."""

    def __init__(self, items: Sequence[Command], executions: Mapping[UUID, Execution], *, now: datetime) -> None:
        """Ask for what items look at."""
        self._steps = {step for item in items for step in _steps(item, executions)}
        self._page = call_ledger.CallUnitOfWork()
        self.budgets = scope_budgets.lock_budgets({each.scope.id for each in executions.values()})
        self._calls = recorder.known_calls_of_steps(self._steps)
        for scope_id in _spending_scopes(items, executions):
            self._page.ask_scope(scope_id, now=now)
        self.heads = documents.lock_heads({(paper.scope_id, paper.type) for paper in documents_of(items)})

    def page(self) -> call_ledger.CallUnitOfWork:
        """Return the page with the calls that were found."""
        self._page.take(self._steps, self._calls)
        return self._page


def _spending_scopes(items: Sequence[Command], executions: Mapping[UUID, Execution]) -> frozenset[UUID]:
    """Return the scopes with a budget in which a call is to start."""
    calls = (call for item in items if isinstance(item, Transition) for call in item.calls)
    starting = {call.key.execution_id for call in calls if call.status is CallStatus.PENDING}
    return scope_budgets.budgeted_among({executions[each].scope.id for each in starting & executions.keys()})


def _outcome(decisions: DecisionBatch, item: Command) -> Outcome:
    try:
        return decisions.decide(item)
    except Exception as error:  # noqa: BLE001 - it is the item's own outcome; the others have theirs
        return error


def _steps(item: Command, executions: Mapping[UUID, Execution]) -> Iterator[tuple[UUID, str]]:
    """Yield the steps, by execution and step id, whose calls the item looks at: also those that its document starts."""
    for call in (item,) if isinstance(item, Call) else item.calls:
        yield call.key.execution_id, call.key.step_id
    if isinstance(item, Transition) and item.document is not None and item.document.step_id is not None:
        made = item.document.step_id
        yield item.execution_id, made
        if item.execution_id in executions:
            following = executions[item.execution_id].steps.values()
            yield from ((item.execution_id, each.step_id) for each in following if made in each.depends_on)
