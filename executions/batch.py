"""Many transitions in one transaction, under locks: all of each or nothing of it.

Rows are locked in one order (executions, then the heads of documents, each by id), what a transition needs is decided
in Python on the values under the locks, and only what was decided is written, with one statement per table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction

from access import multirow
from common.database_server import server
from documents import repository as documents
from executions import ledger, repository
from executions.deciding import Decisions, Item, Outcome, execution_of, papers_of
from executions.engine.calls import Call
from executions.engine.execution import Execution
from executions.engine.ports import Transition
from executions.progress.notifier import announce
from telemetry import recorder, scope_budgets


class Batch:
    """One transaction's worth of items, in the order in which they came."""

    def __init__(
        self,
        items: Sequence[Item],
        *,
        now: datetime,
        known: Mapping[UUID, Execution],
        lost: Collection[Item] = (),
    ) -> None:
        """Prepare to store items.

        Args:
            items: What is to be stored.
            now: The present moment.
            known: Executions as they may still be.
            lost: Those of them that may have been stored already.
        """
        self._items = items
        self._now = now
        self._known = known
        self._lost = lost
        self.server_changes = server.changes
        self.known_by_calls: Sequence[Item] = ()  # if it was stored, and nobody is told
        self.heads: Mapping[documents.Key, documents.Head] = {}  # of the documents, as they were found

    @transaction.atomic
    def commit(self) -> list[Outcome]:
        """Store what can be stored; return for each item the execution as it left it, or why nothing was stored."""
        with multirow.together():
            decisions = self._lock()
            outcomes = [_outcome(decisions, item) for item in self._items]
            self.known_by_calls = decisions.known_by_calls
            self._write(decisions)
        return outcomes

    def _lock(self) -> Decisions:
        multirow.prefer_indexes()
        known = self._known if server.changes == self.server_changes else {}  # this connection's may be another
        executions = repository.lock_all({execution_of(item) for item in self._items}, known=known)
        budgets = scope_budgets.lock({each.scope.id for each in executions.values()})
        page = ledger.Page()
        page.load({step for item in self._items for step in _steps(item, executions)})
        papers = papers_of(self._items)
        self.heads = documents.lock_heads({(paper.scope_id, paper.type) for paper in papers}) if papers else {}
        return Decisions(executions, page=page, heads=self.heads, now=self._now, scope_budgets=budgets, lost=self._lost)

    def _write(self, decisions: Decisions) -> None:
        pairs = decisions.pairs
        repository.replace_all(pairs)
        documents.store_schemas(repository.stored_document(each) for each in decisions.documents)
        multirow.write(decisions.writes_of_the_rest())
        for execution_id in decisions.discarded:
            recorder.discard_pending(execution_id, now=self._now)
        transaction.on_commit(partial(announce, *(stored.id for _, stored in pairs)))


def _outcome(decisions: Decisions, item: Item) -> Outcome:
    try:
        return decisions.decide(item)
    except Exception as error:  # noqa: BLE001 - it is the item's own outcome; the others have theirs
        return error


def _steps(item: Item, executions: Mapping[UUID, Execution]) -> Iterator[tuple[UUID, str]]:
    """Yield the steps, by execution and step id, whose calls the item looks at: also those that its document starts."""
    for call in (item,) if isinstance(item, Call) else item.calls:
        yield call.key.execution_id, call.key.step_id
    if isinstance(item, Transition) and item.document is not None and item.document.step_id is not None:
        made = item.document.step_id
        yield item.execution_id, made
        if item.execution_id in executions:
            following = executions[item.execution_id].steps.values()
            yield from ((item.execution_id, each.step_id) for each in following if made in each.depends_on)
