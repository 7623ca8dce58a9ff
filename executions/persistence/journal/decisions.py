"""What transitions come to: each is decided on what the ones before it left, and nothing is written yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from common.database import bulk
from common.errors import NotFound
from documents import repository as documents
from executions.engine.domain.calls import Call
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import StaleFencingToken
from executions.engine.domain.events import ProgressEvent
from executions.engine.domain.execution import Document, Execution
from executions.engine.domain.states import CallStatus
from executions.engine.ports import Transition, is_superseded
from executions.engine.transitions.core import Change, Context, number_events
from executions.persistence import event_log, repositories
from executions.persistence.call_ledger import CallUnitOfWork

Command = Transition | Call  # a call alone: what became of it is booked apart from any decision
Outcome = Execution | Exception


class DecisionBatch:
    """Decides items in the order in which they come, on the values that were looked at before."""

    def __init__(
        self,
        before: Mapping[UUID, Execution],
        *,
        page: CallUnitOfWork,
        heads: Mapping[documents.Key, documents.Head],
        now: datetime,
        scope_budgets: Mapping[UUID, Decimal] | None = None,
        lost: Collection[Command] = (),
    ) -> None:
        """Begin with what there is.

        Args:
            before: The executions.
            page: Their calls.
            heads: Of the documents that are handed in; those that are missing do not exist.
            now: The present moment.
            scope_budgets: US dollars a month, of the scopes that have a budget.
            lost: Items that may have been stored already, with what they did to calls.
        """
        self.before = before
        self.after = dict(before)
        self.page = page
        self.documents: list[Document] = []
        self.events: list[ProgressEvent] = []
        self.discarded: list[UUID] = []  # executions nobody waits for the pending calls of
        self._heads = dict(heads)
        self._now = now
        self._scope_budgets = scope_budgets or {}  # US dollars a month
        self._lost = {id(each) for each in lost}
        self.known_by_calls: list[Command] = []  # what did something to calls: it is known by them that it was stored

    def decide(self, item: Command) -> Execution:
        """Return the execution as the item leaves it.

        Raises:
            NotFound: there is no such execution.
            StaleFencingToken: the fencing token is not the row's, or the row is older than what the runner has met.
            DomainError: what a transition's own `decide` raises. Nothing of the item is kept then.
        """
        with self._whole_or_not():
            current = self.after.get(execution_of(item))
            if current is None:
                raise NotFound("There is no such execution.")
            if isinstance(item, Call):
                self.page.record(item)
                after = current
            else:
                after = self._decide(item, current)
            if self.page.is_changing:
                self.known_by_calls.append(item)
            return after

    @property
    def pairs(self) -> list[tuple[Execution, Execution]]:
        """The executions that are changed: as they were and as they shall be, in order of id."""
        changed = [(old, self.after[key]) for key, old in self.before.items() if self.after[key] is not old]
        return sorted(changed, key=lambda pair: pair[0].id)

    def writes(self) -> Iterator[bulk.Write]:
        """Yield the writes of executions and steps, of documents, whose schemas are stored, of events and of calls."""
        yield from repositories.replacement_writes(self.pairs)
        yield from documents.version_writes([repositories.stored_document(each) for each in self.documents])
        yield from event_log.insert_writes(self.events)
        yield from self.page.writes(self.after)

    @contextmanager
    def _whole_or_not(self) -> Iterator[None]:
        try:
            yield
        except Exception:
            self.page.rollback_pending()
            raise
        self.page.commit_pending()

    def _decide(self, item: Transition, current: Execution) -> Execution:
        if is_superseded(item, current):
            # Another worker, which took over, may have announced the same calls.
            raise StaleFencingToken(current.id, fencing_token=item.fencing_token)
        if self._was_stored(item):
            return current  # and the connection was lost before we were told
        for call in item.calls:
            if call.status is not CallStatus.PENDING:
                self.page.record(call)
        placed = None if item.document is None else self._place(item.document)
        change = item.decide(current, self._context(current, placed))
        announced = () if change.budget_blocked else [call for call in item.calls if call.status is CallStatus.PENDING]
        for call in (*announced, *change.calls):
            self.page.record(call)
        return self._accept(change, current, placed)

    def _was_stored(self, item: Transition) -> bool:
        """Whether a try whose end nobody was told of has stored the item."""
        return id(item) in self._lost and bool(item.calls) and all(self.page.has(call) for call in item.calls)

    def _place(self, document: Document) -> Document:
        """Return the document as the next version of its head."""
        head = self._heads.get((document.scope_id, document.type), documents.Head())
        return replace(document, id=document.id if head.id is None else head.id, version=head.version + 1)

    def _context(self, current: Execution, placed: Document | None) -> Context:
        return Context(
            now=self._now,
            document=placed,
            step_totals=lambda step_id: self.page.step_totals(current.id, step_id),
            totals=lambda: self.page.totals(current.id),
            replied=self.page.replied,
            bought=self.page.bought,
            spent=lambda: self.page.spent(current.id),
            scope_room=lambda: self._scope_room(current.scope.id),
        )

    def _scope_room(self, scope_id: UUID) -> Decimal | None:
        if scope_id not in self._scope_budgets:
            return None
        mine = {each.id for each in self.before.values() if each.scope.id == scope_id}
        return self._scope_budgets[scope_id] - self.page.scope_spent(scope_id, mine, now=self._now)

    def _accept(self, change: Change, current: Execution, placed: Document | None) -> Execution:
        stored, events = number_events(change, current=current, now=self._now)
        self.after[current.id] = stored
        self.events += events
        if placed is not None:
            self._heads[placed.scope_id, placed.type] = documents.Head(placed.id, placed.version)
            self.documents.append(placed)
        if change.discard_pending_calls:
            self.discarded.append(current.id)
        return stored


def documents_of(items: Iterable[Command]) -> list[Document]:
    """Return the documents that items hand in."""
    return [each.document for each in items if isinstance(each, Transition) and each.document is not None]


def scope_of(item: Command) -> UUID | None:
    """Return the id of the scope that an item hands in a document to, if it does."""
    return item.document.scope_id if isinstance(item, Transition) and item.document is not None else None


def execution_of(item: Command) -> UUID:
    """Return the id of the execution that an item is about."""
    return item.key.execution_id if isinstance(item, Call) else item.execution_id
