"""Commands are decided on a snapshot, and the result is a write set. Nothing is read or written here.

A snapshot comes from the cache (`cache.py`), from a plain read or from locked rows (both `sources.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import islice
from uuid import UUID

from common.database import bulk
from common.errors import NotFound
from documents import repository as documents
from executions.engine.domain.calls import Call
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import StaleFencingToken
from executions.engine.domain.events import ProgressEvent
from executions.engine.domain.execution import Document, Execution, is_proposal
from executions.engine.domain.states import CallStatus, StepStatus
from executions.engine.ports import Transition, is_superseded
from executions.engine.transitions.core import Change, Context, number_events
from executions.persistence import event_log, inbox_entries, repositories
from executions.persistence.call_ledger import CallUnitOfWork, LoadedCalls, Need, NeedsMore
from telemetry import spending

Command = Transition | Call  # a call alone: its end is stored apart from any decision
Heads = dict[str, documents.Head]  # of a scope's documents, by type; a missing type has no document
Outcome = Execution | Exception

MAX_SCOPES = 500  # of one execution, whose heads are read at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Executions, calls and heads of documents. Decisions that need more raise `NeedsMore`."""

    executions: Mapping[UUID, Execution] = field(default_factory=dict)
    calls: Mapping[UUID, LoadedCalls] = field(default_factory=dict)  # by execution
    heads: Mapping[UUID, Heads] = field(default_factory=dict)  # by scope
    cached_heads: frozenset[UUID] = (
        frozenset()
    )  # scopes whose heads are from the cache: a check tells if they are stale
    scope_budgets: Mapping[UUID, Decimal] = field(default_factory=dict)  # US dollars a month
    scope_spending: Mapping[UUID, Decimal] = field(default_factory=dict)  # US dollars in this month
    is_locked: bool = False  # an execution that it lacks does not exist, and a transaction writes what is decided


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSet:
    """What the commands of a batch change of their snapshot."""

    snapshot: Snapshot
    executions: dict[UUID, Execution]  # as the commands leave them
    calls: CallUnitOfWork
    documents: list[Document] = field(default_factory=list)
    events: list[ProgressEvent] = field(default_factory=list)
    read_heads: dict[tuple[UUID, str], int] = field(default_factory=dict)  # versions of heads that decisions rest on
    discarding: list[UUID] = field(default_factory=list)  # executions whose pending calls are discarded
    outcomes: list[Outcome] = field(default_factory=list)  # per command: its execution, or why nothing of it is stored
    changes_calls: list[bool] = field(default_factory=list)  # per command: once it is stored, its calls tell so

    @property
    def changed(self) -> list[tuple[Execution, Execution]]:
        """Return the changed executions before and after, in order of id."""
        before = self.snapshot.executions
        return [(before[key], after) for key, after in sorted(self.executions.items()) if after is not before[key]]

    @property
    def inbox_roots(self) -> set[UUID]:
        """Return the root scopes in whose inbox entries may have changed."""
        return inbox_entries.roots_of(self.events, self.executions)

    @property
    def needs(self) -> set[Need]:
        """Return what the snapshot lacks of calls and heads."""
        return {each.need for each in self.outcomes if isinstance(each, NeedsMore) and each.need is not None}

    def _is_cached(self, key: tuple[UUID, str]) -> bool:
        return key[0] in self.snapshot.cached_heads

    def statement(self) -> tuple[str, list[str]] | None:
        """Return the statement that stores it, guarded by the versions of the snapshot; None: nothing is changed.

        Under row locks, the scopes of new steps are stored now. Schemas have to be stored before.
        """
        writes = [
            *repositories.replacement_writes(self.changed),
            *documents.head_checks({key: version for key, version in self.read_heads.items() if self._is_cached(key)}),
            *documents.version_writes([repositories.stored_document(each) for each in self.documents]),
            *documents.erasure_checks(event_log.reused(self.events)),
            *event_log.insert_writes(self.events),
            *self.calls.writes(self.executions),
        ]
        return bulk.to_single_statement(writes) if writes else None


def decide(
    commands: Sequence[Command], snapshot: Snapshot, *, now: datetime, maybe_stored: Collection[Command] = ()
) -> WriteSet:
    """Decide commands in their order, each on what the ones before it left.

    An outcome is `NeedsMore` if the snapshot lacks something for the command; then so are the outcomes of the later
    commands of its execution. Without row locks a rejection has the same effect, because the snapshot may be stale.

    Args:
        commands: What is to be stored.
        snapshot: What it is decided on.
        now: The present moment.
        maybe_stored: Commands that may have been stored already: the connection was lost during COMMIT.
    """
    batch = DecisionBatch(snapshot, now=now, maybe_stored=maybe_stored)
    for command in commands:
        batch.decide(command)
    return batch.result


class DecisionBatch:
    """Decides commands one after the other, and collects what they change."""

    def __init__(self, snapshot: Snapshot, *, now: datetime, maybe_stored: Collection[Command]) -> None:
        """Begin with the snapshot; see `decide`."""
        calls = CallUnitOfWork(snapshot.calls)
        self.result = WriteSet(snapshot=snapshot, executions=dict(snapshot.executions), calls=calls)
        self._snapshot, self._executions, self._calls = snapshot, self.result.executions, calls
        self._now = now
        self._maybe_stored = {id(each) for each in maybe_stored}
        self._left: set[UUID] = set()  # executions of commands that go to the next source
        self._heads: dict[documents.Key, documents.Head] = {}  # of new versions

    def decide(self, command: Command) -> None:
        """Decide the next command: all of it is kept, or nothing."""
        execution_id = execution_of(command)
        try:
            outcome: Outcome = self._outcome(command, execution_id)
        except Exception as error:  # noqa: BLE001 - the outcome of this command alone
            self._calls.rollback_pending()
            if isinstance(error, NeedsMore) or not self._snapshot.is_locked:
                self._left.add(execution_id)
            outcome = error
        self.result.outcomes.append(outcome)
        self.result.changes_calls.append(self._calls.is_changing)
        self._calls.commit_pending()

    def _outcome(self, command: Command, execution_id: UUID) -> Execution:
        """Return the execution as the command leaves it.

        Raises:
            NeedsMore: the snapshot lacks something.
            NotFound: there is no such execution.
            StaleFencingToken: the row has another fencing token, or is older than the runner's execution.
            DomainError: what a transition's own `decide` raises.
        """
        current = self._executions.get(execution_id)
        if execution_id in self._left or (current is None and not self._snapshot.is_locked):
            raise NeedsMore
        if current is None:
            raise NotFound("There is no such execution.")
        if isinstance(command, Transition):
            return self._transition(command, current)
        self._calls.record(command)
        return current

    def _transition(self, command: Transition, current: Execution) -> Execution:
        if is_superseded(command, current):
            # Another worker, which took over, may have announced the same calls.
            raise StaleFencingToken(current.id, fencing_token=command.fencing_token)
        if id(command) in self._maybe_stored and command.calls and all(map(self._calls.has, command.calls)):
            return current  # it was stored when the connection was lost
        for call in command.calls:
            if call.status is not CallStatus.PENDING:
                self._calls.record(call)
        document = None if command.document is None else self._numbered(command.document, current)
        change = command.decide(current, self._context(current, document))
        announced = (
            () if change.budget_blocked else [call for call in command.calls if call.status is CallStatus.PENDING]
        )
        for call in (*announced, *change.calls):
            self._calls.record(call)
        return self._accept(change, current, document)

    def _numbered(self, document: Document, current: Execution) -> Document:
        """Return the document as the next version, on its head or proposed beside it."""
        head = self._head_of(document)
        step = current.steps.get(document.step_id or "")
        return replace(
            document,
            id=head.id or document.id,
            version=head.last_version + 1,
            base_version=head.version or None,
            proposed=step is not None and is_proposal(step, by_person=head.by_person),
        )

    def _head_of(self, document: Document) -> documents.Head:
        head = self._heads.get((document.scope_id, document.type))
        if head is None and document.scope_id not in self._snapshot.heads:
            raise NeedsMore
        return head or self._snapshot.heads[document.scope_id].get(document.type, documents.Head())

    def _context(self, current: Execution, document: Document | None) -> Context:
        return Context(
            now=self._now,
            document=document,
            step_totals=lambda step_id: self._calls.step_totals(current.id, step_id),
            totals=lambda: self._calls.totals(current.id),
            replied=self._calls.replied,
            bought=self._calls.bought,
            spent=lambda: self._calls.usage(current.id),
            head_version=self._head_version,
            scope_room=lambda: self._scope_room(current.scope.id),
        )

    def _head_version(self, scope_id: UUID, document_type: str) -> int:
        """Return the version of a head that may change until the decision is stored; a check tells if it did before."""
        key = (scope_id, document_type)
        if key in self._heads:
            return self._heads[key].version
        if scope_id not in self._snapshot.heads:
            raise NeedsMore(Need("heads", scope_id))
        version = self._snapshot.heads[scope_id].get(document_type, documents.Head()).version
        self.result.read_heads[key] = version
        return version

    def _scope_room(self, scope_id: UUID) -> Decimal | None:
        budget = self._snapshot.scope_budgets.get(scope_id)
        if budget is None:
            return None
        spent = self._snapshot.scope_spending.get(scope_id)
        if spent is None:
            raise NeedsMore(Need("spending", scope_id))
        mine = {each.id for each in self._executions.values() if each.scope.id == scope_id}
        return budget - spent - self._calls.added_cost(mine, since=spending.month_start(self._now))

    def _accept(self, change: Change, current: Execution, document: Document | None) -> Execution:
        if not self._snapshot.is_locked and self._needs_transaction(change, current, document):
            raise NeedsMore
        stored, events = number_events(change, current=current, now=self._now)
        self._executions[current.id] = stored
        self.result.events.extend(events)
        if document is not None:
            head = self._head_of(document).after(document.id, document.version, proposed=document.proposed)
            self._heads[document.scope_id, document.type] = head
            self.result.documents.append(document)
        if change.discard_pending_calls:
            self.result.discarding.append(current.id)
        return stored

    def _needs_transaction(self, change: Change, current: Execution, document: Document | None) -> bool:
        """Return whether more has to be written than the one statement writes: calls, scopes of items, a schema."""
        return (
            change.discard_pending_calls
            or bool(repositories.added_steps(current, change.execution))
            or (document is not None and not documents.is_stored(document.schema))
        )


def documents_of(commands: Iterable[Command]) -> list[Document]:
    """Return the new documents of commands."""
    return [each.document for each in commands if isinstance(each, Transition) and each.document is not None]


def scopes_of(commands: Iterable[Command]) -> set[UUID]:
    """Return the scopes in which commands store documents."""
    return {each.scope_id for each in documents_of(commands)}


def starting_scopes(commands: Iterable[Command], executions: Mapping[UUID, Execution]) -> set[UUID]:
    """Return the scopes of the documents that known steps will make, which commands may start."""
    steps = (
        executions[each.execution_id].steps.get(step_id)
        for each in commands
        if isinstance(each, Transition) and each.execution_id in executions
        for step_id in started_steps(each)
    )
    return {step.scope.id for step in steps if step is not None and step.base_version is None}


def unstarted_scopes(execution: Execution) -> set[UUID]:
    """Return the scopes of the documents of steps that have not started, at most `MAX_SCOPES`."""
    pending = (step for step in execution.steps.values() if step.base_version is None)
    scopes = (step.scope.id for step in pending if step.status is StepStatus.PENDING)
    return set(islice(scopes, MAX_SCOPES))


def started_steps(command: Transition) -> Iterator[str]:
    """Yield the ids of the steps that a command may start, with a call of its own or of its decision."""
    yield from (call.key.step_id for call in command.calls if call.status is CallStatus.PENDING)
    yield from (step_id for step_id, _ in command.may_start)


def scope_of(command: Command) -> UUID | None:
    """Return the scope in which a command stores a document; None: it stores no document."""
    return command.document.scope_id if isinstance(command, Transition) and command.document is not None else None


def execution_of(command: Command) -> UUID:
    """Return the id of the command's execution."""
    return command.key.execution_id if isinstance(command, Call) else command.execution_id
