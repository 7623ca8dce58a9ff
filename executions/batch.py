"""Many transitions in one transaction: all of each or nothing of it.

Rows are locked in one order (executions, then the heads of documents, each by id), what a transition needs is decided
in Python on the values under the locks, and only what was decided is written, with one statement per table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import partial
from uuid import UUID

from django.db import transaction

from access import multirow
from documents import repository as documents
from executions import eventlog, ledger, repository
from executions.engine.calls import Call
from executions.engine.changes import Change, Context
from executions.engine.errors import NotFound, Superseded
from executions.engine.events import ProgressEvent
from executions.engine.execution import Document, Execution
from executions.engine.ports import Transition
from executions.engine.stamping import stamp
from executions.engine.states import CallStatus
from executions.engine.values import replace
from executions.progress.notifier import announce
from telemetry import recorder, scope_budgets

Item = Transition | Call  # a call alone: what became of it is booked apart from any decision
Outcome = Execution | Exception


class Batch:
    """One transaction's worth of items, in the order in which they came."""

    def __init__(self, items: Sequence[Item], *, now: datetime, known: Mapping[UUID, Execution], again: bool) -> None:
        self._items = items
        self._now = now
        self._known = known
        self._again = again
        self._page = ledger.Page()
        self._before: dict[UUID, Execution] = {}
        self._after: dict[UUID, Execution] = {}
        self._heads: dict[documents.Key, documents.Head] = {}
        self._documents: list[Document] = []
        self._events: list[ProgressEvent] = []
        self._discarded: list[UUID] = []
        self._scope_budgets: dict[UUID, Decimal] = {}  # US dollars a month

    @transaction.atomic
    def commit(self) -> list[Outcome]:
        """Store what can be stored; return for each item the execution as it left it, or why nothing was stored."""
        with multirow.together():
            self._lock()
            outcomes = [self._carry_out(item) for item in self._items]
            self._write()
        return outcomes

    def _lock(self) -> None:
        multirow.prefer_indexes()
        self._before = repository.lock_all({_execution_id(item) for item in self._items}, known=self._known)
        self._after = dict(self._before)
        self._scope_budgets = scope_budgets.lock({each.scope.id for each in self._before.values()})
        self._page.load({step for item in self._items for step in _steps(item)})
        papers = [item.document for item in self._items if isinstance(item, Transition) and item.document is not None]
        if papers:
            self._heads = documents.lock_heads({(paper.scope_id, paper.type) for paper in papers})

    def _carry_out(self, item: Item) -> Outcome:
        try:
            with self._whole_or_not():
                current = self._after.get(_execution_id(item))
                if current is None:
                    raise NotFound("There is no such execution.")
                if isinstance(item, Call):
                    self._page.record(item)
                    return current
                return self._decide(item, current)
        except Exception as error:  # noqa: BLE001 - it is the item's own outcome; the others have theirs
            return error

    @contextmanager
    def _whole_or_not(self) -> Iterator[None]:
        try:
            yield
        except Exception:
            self._page.drop()
            raise
        self._page.keep()

    def _decide(self, item: Transition, current: Execution) -> Execution:
        if item.epoch is not None and item.epoch != current.runner_epoch:
            raise Superseded(current.id, epoch=item.epoch)  # whoever took over may have announced the same calls
        if self._again and item.calls and all(self._page.has(call) for call in item.calls):
            return current  # it was stored, and the connection was lost before we were told
        for call in item.calls:
            if call.status is not CallStatus.PENDING:
                self._page.record(call)
        placed = None if item.document is None else self._place(item.document)
        change = item.decide(current, self._context(current, placed))
        announced = () if change.held else [call for call in item.calls if call.status is CallStatus.PENDING]
        for call in (*announced, *change.calls):
            self._page.record(call)
        return self._accept(change, current, placed)

    def _place(self, document: Document) -> Document:
        """Return the document as the next version of its head."""
        head = self._heads[document.scope_id, document.type]
        return replace(document, id=document.id if head.id is None else head.id, version=head.version + 1)

    def _context(self, current: Execution, placed: Document | None) -> Context:
        return Context(
            now=self._now,
            document=placed,
            step_totals=lambda step_id: self._page.step_totals(current.id, step_id),
            totals=lambda: self._page.totals(current.id),
            replied=self._page.replied,
            spent=lambda: self._page.spent(current.id),
            scope_room=lambda: self._scope_room(current.scope.id),
        )

    def _scope_room(self, scope_id: UUID) -> Decimal | None:
        if scope_id not in self._scope_budgets:
            return None
        mine = {each.id for each in self._before.values() if each.scope.id == scope_id}
        return self._scope_budgets[scope_id] - self._page.scope_spent(scope_id, mine, now=self._now)

    def _accept(self, change: Change, current: Execution, placed: Document | None) -> Execution:
        stored, events = stamp(change, current=current, now=self._now)
        self._after[current.id] = stored
        self._events += events
        if placed is not None:
            self._heads[placed.scope_id, placed.type] = documents.Head(placed.id, placed.version)
            self._documents.append(placed)
        if change.discard_pending_calls:
            self._discarded.append(current.id)
        return stored

    def _write(self) -> None:
        pairs = [(old, self._after[key]) for key, old in self._before.items() if self._after[key] is not old]
        repository.replace_all(pairs)
        if self._documents:
            documents.store_versions([repository.stored_document(each) for each in self._documents])
        eventlog.append(self._events)
        self._page.write(self._after)
        for execution_id in self._discarded:
            recorder.discard_pending(execution_id, now=self._now)
        for _, stored in pairs:
            transaction.on_commit(partial(announce, stored.id))


def _execution_id(item: Item) -> UUID:
    return item.key.execution_id if isinstance(item, Call) else item.execution_id


def _steps(item: Item) -> Iterator[tuple[UUID, str]]:
    """Yield the steps, by execution and step id, whose calls the item looks at."""
    for call in (item,) if isinstance(item, Call) else item.calls:
        yield call.key.execution_id, call.key.step_id
    if isinstance(item, Transition) and item.document is not None and item.document.step_id is not None:
        yield item.execution_id, item.document.step_id
