"""Many transitions in one statement, without locks: decided on what is remembered, and refused where that is stale.

This is optimistic concurrency control (Kung and Robinson, "On Optimistic Methods for Concurrency Control", ACM TODS
1981) on the `version` columns: a process decides on what it has written, until an update finds another version. Then
nothing of the statement is stored, the cache drops what it had, and everything is decided again under locks
(`locked_batch.py`). Items that need data outside the cache fall back to row locks, too. This module never rejects an
item.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import psycopg

from common.database import bulk
from common.database.errors import ErrorKind, error_kind
from common.errors import DomainError
from documents import repository as documents
from executions.engine.domain.execution import Document, Execution
from executions.engine.transitions.core import Change
from executions.persistence import repositories
from executions.persistence.call_ledger import CallsByStep, CallUnitOfWork, entry, without_reply
from executions.persistence.from_rows import QUERIES, from_rows
from executions.persistence.journal.cache import CachedExecution, Heads, Loaded, Misses, SnapshotCache
from executions.persistence.journal.connection import PipelineConnection
from executions.persistence.journal.decisions import Command, DecisionBatch, documents_of, execution_of
from telemetry import ledger

logger = logging.getLogger(__name__)


class _NeedsLocks(Exception):
    """More than is remembered has to be looked at, or more than the usual rows written."""


#: Why something is decided again under locks in the ordinary course: a conflict, a lost connection, an unfit value.
_FORESEEN = (
    _NeedsLocks,
    DomainError,
    documents.StaleVersion,
    ledger.StaleCall,
    psycopg.DataError,
)


def log_reason(why: BaseException | None, *, doing: str) -> None:
    """Log why something is left to locks: the foreseen at DEBUG, a bug as an error with its traceback.

    What is left is decided under locks all the same, so that a bug in here costs time and no work.
    """
    if bulk.is_refusal(why):
        logger.debug("%s: another process has changed a row", doing)
    elif why is None or isinstance(why, _FORESEEN) or error_kind(why) is not ErrorKind.BUG:
        logger.debug("%s: %r", doing, why)
    else:
        logger.error("%s, because of a bug", doing, exc_info=why)


class Decided(DecisionBatch):
    """Decisions on what is remembered alone, which write rows of the usual tables alone."""

    def __init__(
        self,
        before: Mapping[UUID, Execution],
        *,
        page: CallUnitOfWork,
        heads: Mapping[documents.Key, documents.Head],
        now: datetime,
        scopes: Collection[UUID],
    ) -> None:
        """Begin with what is remembered; of documents in other `scopes` nothing is."""
        super().__init__(before, page=page, heads=heads, now=now)
        self._scopes = scopes
        self.outcomes: list[Execution | None] = []  # of each item, as it leaves its execution; None: it is left

    def decide(self, item: Command) -> Execution:
        """Return the execution as the item leaves it."""
        execution_id = execution_of(item)
        if execution_id not in self.before or execution_id not in self.page.cached:
            raise _NeedsLocks
        return super().decide(item)

    def remember(self, memory: SnapshotCache) -> None:
        """Remember everything as it is now that it is stored."""
        books = self.page.cached
        for changed in self.page.changed():
            key = changed.call.key
            books[key.execution_id].setdefault(key.step_id, {})[key] = without_reply(changed)
        for execution_id, book in books.items():
            if (execution := self.after.get(execution_id)) is not None:
                memory.remember(execution, book)
        for placed in self.documents:
            for heads in memory.heads([placed.scope_id]).values():
                heads[placed.type] = documents.Head(placed.id, placed.version)

    def _place(self, document: Document) -> Document:
        if document.scope_id not in self._scopes or not documents.is_stored(document.schema):
            raise _NeedsLocks
        return super()._place(document)

    def _accept(self, change: Change, current: Execution, placed: Document | None) -> Execution:
        if change.discard_pending_calls or repositories.added_steps(current, change.execution):
            raise _NeedsLocks
        return super()._accept(change, current, placed)


async def read(lacking: Misses, memory: SnapshotCache, line: PipelineConnection) -> Loaded:
    """Return what is lacking, as far as it is there; of executions that are left to locks no calls.

    Raises:
        DatabaseUnavailable: the database is away.
    """
    # The executions first: whatever changes after that changes their version.
    rows = await line.fetch_all([(query, [list(lacking.executions)]) for query in QUERIES])
    executions = from_rows(*rows)
    books: dict[UUID, CallsByStep] = {each.id: {} for each in executions.values() if not memory.needs_locks(each)}
    heads: dict[UUID, Heads] = {each: {} for each in lacking.scopes | {executions[each].scope.id for each in books}}
    calls, documents_there = await line.fetch_all(
        [(ledger.SELECT_CALLS_OF_EXECUTIONS, [list(books)]), (documents.SELECT_HEADS, [list(heads)])]
    )
    for each in map(entry, ledger.known_calls(calls)):
        books[each.call.key.execution_id].setdefault(each.call.key.step_id, {})[each.call.key] = each
    for scope_id, kind, head in documents.heads(documents_there):
        heads[scope_id][kind] = head
    known = [CachedExecution(execution=each, book=books.get(each.id)) for each in executions.values()]
    return Loaded(known=known, heads=heads)


def decide(items: Sequence[Command], memory: SnapshotCache, *, now: datetime) -> Decided:
    """Return what items come to, by what is remembered.

    An item is left if more is needed than is remembered, or if it was refused: what is wrong here may be right on the
    rows as they are. Items of one execution are decided in the order in which they came; once one of them is left, so
    are the next ones.
    """
    wanted = {execution_of(item) for item in items}
    papers = documents_of(items)
    heads = memory.heads({each.scope_id for each in papers if not memory.is_contended(each.scope_id)})
    mine = {
        (paper.scope_id, paper.type): head
        for paper in papers
        if (head := heads.get(paper.scope_id, {}).get(paper.type)) is not None
    }
    executions, page = memory.executions(wanted), CallUnitOfWork(memory.books(wanted))
    decided = Decided(executions, page=page, heads=mine, now=now, scopes=heads.keys())
    left = {each.id for each in executions.values() if memory.needs_locks(each)}
    for item in items:
        outcome = None if execution_of(item) in left else _outcome(item, decided)
        decided.outcomes.append(outcome)
        if outcome is None:
            left.add(execution_of(item))
    return decided


def _outcome(item: Command, decided: Decided) -> Execution | None:
    try:
        return decided.decide(item)
    except Exception as error:  # noqa: BLE001 - whoever is asked under locks says it again
        log_reason(error, doing="left for locks")
        return None
