"""Every port in dictionaries: for tests, for simulation, and as the plainest statement of what each port promises."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from executions.engine.domain.budget_usage import usage_of
from executions.engine.domain.calls import Call, CallKey, Totals, merge_call, sum_calls
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import NotFound, StaleFencingToken, VersionConflict
from executions.engine.domain.events import ProgressEvent
from executions.engine.domain.execution import Document, Execution
from executions.engine.domain.states import CallStatus
from executions.engine.ports import Ports, Repositories, Transition, is_superseded
from executions.engine.testing.in_memory_models import InMemoryDrafts, ReplyFunction, ScriptedModelClient
from executions.engine.transitions.core import Change, Context
from executions.engine.transitions.numbering import number_events
from workflows.definitions.definition import WorkflowDefinition


@dataclass
class ManualClock:
    """A clock that moves when it is told to."""

    moment: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)  # seconds, in the order in which the sleeps began

    def now(self) -> datetime:
        """Return the moment."""
        return self.moment

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.moment += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        """Let the others have their turn, and be there."""
        end = self.moment + timedelta(seconds=seconds)
        self.slept.append(seconds)
        await asyncio.sleep(0)
        self.moment = max(self.moment, end)


@dataclass
class FixedRandom:
    """Chance that always says the same."""

    share: float = 0.5

    def random(self) -> float:
        """Return the share."""
        return self.share


class InMemoryExecutionRepository:
    """Executions by id."""

    def __init__(self) -> None:
        self.rows: dict[UUID, Execution] = {}

    async def save(self, execution: Execution) -> Execution:
        """Insert or replace, guarded by the version."""
        known = self.rows.get(execution.id)
        if (0 if known is None else known.version) != execution.version - 1:
            raise VersionConflict("The execution", expected=execution.version - 1)
        self.rows[execution.id] = execution
        return execution

    async def get(self, execution_id: UUID) -> Execution:
        """Return it."""
        if execution_id not in self.rows:
            raise NotFound("There is no such execution.")
        return self.rows[execution_id]

    async def list_by_scope(self, scope_id: UUID) -> list[Execution]:
        """Return the scope's executions, newest first."""
        mine = [row for row in self.rows.values() if row.scope.id == scope_id]
        return sorted(mine, key=lambda row: (row.created_at, row.id), reverse=True)

    async def list_active(self) -> list[Execution]:
        """Return those that have not ended, oldest first."""
        active = [row for row in self.rows.values() if not row.ended]
        return sorted(active, key=lambda row: (row.created_at, row.id))


class InMemoryDocumentRepository:
    """All versions of each (scope, type)."""

    def __init__(self) -> None:
        self.versions: dict[tuple[UUID, str], list[Document]] = {}

    async def save(self, document: Document) -> Document:
        """Store it as the next version."""
        self.check(document)
        return self.add(document)

    def check(self, document: Document) -> None:
        """Refuse a version that is not the next one."""
        if document.version != self.head_version(document.scope_id, document.type) + 1:
            raise VersionConflict("The document", expected=document.version - 1)

    def add(self, document: Document) -> Document:
        """Append a version that was checked."""
        known = self.versions.setdefault((document.scope_id, document.type), [])
        stored = replace(document, id=known[0].id) if known else document
        known.append(stored)
        return stored

    def head_version(self, scope_id: UUID, document_type: str) -> int:
        """Return the newest version, 0 when there is none."""
        return len(self.versions.get((scope_id, document_type), ()))

    async def get(self, document_id: UUID, version: int | None = None) -> Document:
        """Return one version, the newest by default."""
        for versions in self.versions.values():
            if versions[0].id == document_id and (version is None or 1 <= version <= len(versions)):
                return versions[-1 if version is None else version - 1]
        raise NotFound("There is no such document.")

    async def get_by_scope_type(self, scope_id: UUID, document_type: str) -> Document | None:
        """Return the newest version, None when there is none."""
        versions = self.versions.get((scope_id, document_type))
        return versions[-1] if versions else None

    async def list_by_scope(self, scope_id: UUID) -> list[Document]:
        """Return the newest version of each type, by type."""
        heads = [versions[-1] for (scope, _), versions in self.versions.items() if scope == scope_id]
        return sorted(heads, key=lambda head: head.type)


class InMemoryLedger:
    """Calls by key, in the order in which they were announced."""

    def __init__(self) -> None:
        self.rows: dict[CallKey, Call] = {}

    async def calls(self, execution_id: UUID, step_id: str) -> list[Call]:
        """Return the step's calls, oldest first."""
        return [row for row in self.of(execution_id) if row.key.step_id == step_id]

    def of(self, execution_id: UUID) -> list[Call]:
        """Return the execution's calls, oldest first."""
        return [row for row in self.rows.values() if row.key.execution_id == execution_id]

    def bought(self, key: CallKey) -> str | None:
        """Return the request hash of a call that has its reply; None: it has none."""
        row = self.rows.get(key)
        return None if row is None or row.reply is None else row.request_hash

    async def settle(self, call: Call) -> None:
        """Keep what became of a call."""
        self.record(call)

    def record(self, call: Call) -> None:
        """Announce a new call, or settle a known one; what was settled for good stays."""
        known = self.rows.get(call.key)
        self.rows[call.key] = call if known is None else merge_call(known, call) or known

    def discard_pending(self, execution_id: UUID, now: datetime) -> None:
        """Note that nobody waits for the execution's calls any more."""
        for row in self.of(execution_id):
            if row.status is CallStatus.PENDING:
                self.rows[row.key] = replace(row, status=CallStatus.DISCARDED, finished_at=now)


@dataclass
class InMemoryJournal:
    """All of a transition or nothing: what could refuse is asked before anything is written."""

    executions: InMemoryExecutionRepository
    documents: InMemoryDocumentRepository
    ledger: InMemoryLedger
    clock: ManualClock
    log: dict[UUID, list[ProgressEvent]] = field(default_factory=dict)

    async def create(self, change: Change) -> Execution:
        """Store a new execution with its first events."""
        stored, events = number_events(change, current=replace(change.execution, version=0), now=self.clock.now())
        await self.executions.save(stored)
        self.log[stored.id] = list(events)
        return stored

    async def commit(self, transition: Transition) -> Execution:
        """Store all of it, or nothing."""
        current = await self.executions.get(transition.execution_id)
        if is_superseded(transition, current):
            raise StaleFencingToken(current.id, fencing_token=transition.fencing_token)
        now, document = self.clock.now(), transition.document
        before = dict(self.ledger.rows)
        pending = [call for call in transition.calls if call.status is CallStatus.PENDING]
        for call in transition.calls:
            if call.status is not CallStatus.PENDING:
                self.ledger.record(call)
        try:
            placed = None if document is None else self._place(document)
            context = Context(
                now=now,
                document=placed,
                step_totals=lambda step_id: self._totals(current.id, step_id),
                totals=lambda: self._totals(current.id, None),
                replied=lambda key: self.ledger.rows[key].reply is not None,
                bought=self.ledger.bought,
                spent=lambda: usage_of(self.ledger.of(current.id)),
            )
            change = transition.decide(current, context)
        except BaseException:
            self.ledger.rows = before
            raise
        for call in (*(() if change.budget_blocked else pending), *change.calls):
            self.ledger.record(call)
        if placed is not None:
            self.documents.add(placed)
        if change.discard_pending_calls:
            self.ledger.discard_pending(current.id, now)
        stored, events = number_events(change, current=current, now=now)
        self.executions.rows[stored.id] = stored
        self.log.setdefault(stored.id, []).extend(events)
        return stored

    def _place(self, document: Document) -> Document:
        versions = self.documents.versions.get((document.scope_id, document.type), [])
        return replace(document, id=versions[0].id if versions else document.id, version=len(versions) + 1)

    def _totals(self, execution_id: UUID, step_id: str | None) -> Totals:
        rows = self.ledger.of(execution_id)
        return sum_calls(row for row in rows if step_id is None or row.key.step_id == step_id)


class InMemoryDefinitions:
    """Workflow versions by (id, version)."""

    def __init__(self, definitions: Mapping[tuple[str, int], WorkflowDefinition]) -> None:
        self.definitions = dict(definitions)

    async def get(self, workflow_id: str, version: int) -> WorkflowDefinition:
        """Return the definition."""
        if (workflow_id, version) not in self.definitions:
            raise NotFound("There is no such workflow version.")
        return self.definitions[workflow_id, version]


def in_memory_ports(script: ReplyFunction, definitions: Iterable[WorkflowDefinition]) -> Ports:
    """Return a set of ports that share one memory; definitions are version 1 of their workflows."""
    clock = ManualClock()
    executions, documents, ledger = InMemoryExecutionRepository(), InMemoryDocumentRepository(), InMemoryLedger()
    return Ports(
        repositories=Repositories(documents=documents, executions=executions),
        journal=InMemoryJournal(executions, documents, ledger, clock),
        ledger=ledger,
        definitions=InMemoryDefinitions({(each.id, 1): each for each in definitions}),
        models=ScriptedModelClient(script),
        drafts=InMemoryDrafts(),
        clock=clock,
        chance=FixedRandom(),
    )
