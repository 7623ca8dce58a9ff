"""In-memory implementations of all ports, for tests and simulation; also their simplest specification."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from common.errors import NotFound, VersionConflict
from executions.engine.domain.brief import BriefFile
from executions.engine.domain.budget_usage import usage_of
from executions.engine.domain.calls import Call, CallKey, Totals, merge_call, sum_calls
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import StaleFencingToken
from executions.engine.domain.events import ProgressEvent
from executions.engine.domain.execution import Document, Execution, StepOutcome, is_proposal
from executions.engine.domain.states import CallStatus
from executions.engine.ports import MadeVersion, Ports, Repositories, Transition, is_superseded
from executions.engine.testing.in_memory_models import InMemoryDrafts, ReplyFunction, ScriptedModelClient
from executions.engine.transitions.core import Change, Context, number_events
from workflows.definitions.definition import WorkflowDefinition


@dataclass
class ManualClock:
    """A clock that only moves on command."""

    moment: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)  # seconds, in the order of the calls

    def now(self) -> datetime:
        """Return the clock's time."""
        return self.moment

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.moment += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run, then move the clock to the end of the sleep."""
        end = self.moment + timedelta(seconds=seconds)
        self.slept.append(seconds)
        await asyncio.sleep(0)
        self.moment = max(self.moment, end)


@dataclass
class FixedRandom:
    """A random source that always returns the same number."""

    share: float = 0.5

    def random(self) -> float:
        """Return the number."""
        return self.share


class InMemoryExecutionRepository:
    """Executions by id."""

    def __init__(self) -> None:
        self.rows: dict[UUID, Execution] = {}

    async def save(self, execution: Execution) -> Execution:
        """Insert or replace the execution, guarded by its version."""
        known = self.rows.get(execution.id)
        if (0 if known is None else known.version) != execution.version - 1:
            raise VersionConflict("The execution", expected=execution.version - 1)
        self.rows[execution.id] = execution
        return execution

    async def get(self, execution_id: UUID) -> Execution:
        """Return the execution."""
        if execution_id not in self.rows:
            raise NotFound("There is no such execution.")
        return self.rows[execution_id]

    async def step_outcome(self, execution_id: UUID, step_id: str) -> StepOutcome | None:
        """Return what became of the document of a step, None if there is no such step."""
        execution = self.rows.get(execution_id)
        step = None if execution is None else execution.steps.get(step_id)
        if step is None:
            return None
        return StepOutcome(status=step.status, document_version=step.document_version, decisions=step.decisions)

    async def list_by_scope(self, scope_id: UUID) -> list[Execution]:
        """Return the scope's executions, newest first."""
        matching = [row for row in self.rows.values() if row.scope.id == scope_id]
        return sorted(matching, key=lambda row: (row.created_at, row.id), reverse=True)

    async def list_active(self) -> list[Execution]:
        """Return the executions that have not ended, oldest first."""
        active = [row for row in self.rows.values() if not row.ended]
        return sorted(active, key=lambda row: (row.created_at, row.id))


class InMemoryDocumentRepository:
    """Documents with all versions, by scope and type."""

    def __init__(self) -> None:
        self.versions: dict[tuple[UUID, str], list[Document]] = {}
        self.by_person: dict[tuple[UUID, str], int] = {}  # newest version that a person made the head

    async def save(self, document: Document) -> Document:
        """Store a person's next version."""
        self.check(document)
        if not document.proposed:
            self.by_person[document.scope_id, document.type] = document.version
        return self.add(document)

    def check(self, document: Document) -> None:
        """Reject a version that is not the next one."""
        if document.version != len(self.versions.get((document.scope_id, document.type), ())) + 1:
            raise VersionConflict("The document", expected=document.version - 1)

    def add(self, document: Document) -> Document:
        """Append a version that was checked."""
        known = self.versions.setdefault((document.scope_id, document.type), [])
        head = self.head(document.scope_id, document.type)
        stored = replace(
            document, id=known[0].id if known else document.id, base_version=None if head is None else head.version
        )
        known.append(stored)
        return stored

    def head(self, scope_id: UUID, document_type: str) -> Document | None:
        """Return the newest version that is not only proposed, None if there is none."""
        versions = self.versions.get((scope_id, document_type), ())
        return next((each for each in reversed(versions) if not each.proposed), None)

    async def get(self, document_id: UUID, version: int | None = None) -> Document:
        """Return one version, the newest by default."""
        for versions in self.versions.values():
            head = self.head(versions[0].scope_id, versions[0].type)
            if versions[0].id == document_id and (version is None or 1 <= version <= len(versions)) and head:
                return head if version is None else versions[version - 1]
        raise NotFound("There is no such document.")

    async def get_by_scope_type(self, scope_id: UUID, document_type: str) -> Document | None:
        """Return the newest version, None if there is none."""
        return self.head(scope_id, document_type)

    async def last_made(self, document_id: UUID, version: int) -> MadeVersion | None:
        """Return the newest version up to this one that a step has made, None if there is none."""
        all_versions = (each for versions in self.versions.values() for each in reversed(versions))
        for each in all_versions:
            if each.id == document_id and each.version <= version and each.execution_id and not each.proposed:
                return MadeVersion(version=each.version, execution_id=each.execution_id, step_id=each.step_id or "")
        return None

    async def list_by_scope(self, scope_id: UUID) -> list[Document]:
        """Return the newest version of each type, by type."""
        heads = [self.head(scope, kind) for scope, kind in self.versions if scope == scope_id]
        return sorted((each for each in heads if each), key=lambda head: head.type)


class InMemoryLedger:
    """Calls by key, in the order in which they were recorded."""

    def __init__(self) -> None:
        self.rows: dict[CallKey, Call] = {}

    async def calls(self, execution_id: UUID, step_id: str) -> list[Call]:
        """Return the step's calls, oldest first."""
        return [row for row in self.of(execution_id) if row.key.step_id == step_id]

    def of(self, execution_id: UUID) -> list[Call]:
        """Return the execution's calls, oldest first."""
        return [row for row in self.rows.values() if row.key.execution_id == execution_id]

    def bought(self, key: CallKey) -> str | None:
        """Return the request hash of a call that has its reply; None: it has no reply."""
        row = self.rows.get(key)
        return None if row is None or row.reply is None else row.request_hash

    async def settle(self, call: Call) -> None:
        """Store the outcome of a call."""
        self.record(call)

    def record(self, call: Call) -> None:
        """Record a new call, or update a known one; a final status does not change."""
        known = self.rows.get(call.key)
        self.rows[call.key] = call if known is None else merge_call(known, call) or known

    def discard_pending(self, execution_id: UUID, now: datetime) -> None:
        """Mark the execution's pending calls as discarded."""
        for row in self.of(execution_id):
            if row.status is CallStatus.PENDING:
                self.rows[row.key] = replace(row, status=CallStatus.DISCARDED, finished_at=now)


@dataclass
class InMemoryJournal:
    """Stores a transition completely or not at all: every check runs before the first write."""

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
        """Store the whole transition, or nothing."""
        current = await self.executions.get(transition.execution_id)
        if is_superseded(transition, current):
            raise StaleFencingToken(current.id, fencing_token=transition.fencing_token)
        now, document = self.clock.now(), transition.document
        rows_before = dict(self.ledger.rows)
        pending = [call for call in transition.calls if call.status is CallStatus.PENDING]
        for call in transition.calls:
            if call.status is not CallStatus.PENDING:
                self.ledger.record(call)
        try:
            numbered = None if document is None else self._assign_identity(document, current)
            context = Context(
                now=now,
                document=numbered,
                step_totals=lambda step_id: self._totals(current.id, step_id),
                totals=lambda: self._totals(current.id, None),
                replied=lambda key: self.ledger.rows[key].reply is not None,
                bought=self.ledger.bought,
                head_version=self._head_version,
                spent=lambda: usage_of(self.ledger.of(current.id)),
            )
            change = transition.decide(current, context)
        except BaseException:
            self.ledger.rows = rows_before
            raise
        for call in (*(() if change.budget_blocked else pending), *change.calls):
            self.ledger.record(call)
        if numbered is not None:
            self.documents.add(numbered)
        if change.discard_pending_calls:
            self.ledger.discard_pending(current.id, now)
        stored, events = number_events(change, current=current, now=now)
        self.executions.rows[stored.id] = stored
        self.log.setdefault(stored.id, []).extend(events)
        return stored

    def _assign_identity(self, document: Document, current: Execution) -> Document:
        versions = self.documents.versions.get((document.scope_id, document.type), [])
        head = self.documents.head(document.scope_id, document.type)
        by_person = self.documents.by_person.get((document.scope_id, document.type), 0)
        step = current.steps.get(document.step_id or "")
        return replace(
            document,
            id=versions[0].id if versions else document.id,
            version=len(versions) + 1,
            base_version=None if head is None else head.version,
            proposed=step is not None and is_proposal(step, by_person=by_person),
        )

    def _head_version(self, scope_id: UUID, document_type: str) -> int:
        head = self.documents.head(scope_id, document_type)
        return 0 if head is None else head.version

    def _totals(self, execution_id: UUID, step_id: str | None) -> Totals:
        rows = self.ledger.of(execution_id)
        return sum_calls(row for row in rows if step_id is None or row.key.step_id == step_id)


class InMemoryFileRepository:
    """Files by root scope and id."""

    def __init__(self) -> None:
        self.files: dict[tuple[UUID, UUID], BriefFile] = {}

    async def get(self, file_ids: Sequence[UUID], *, scope_id: UUID) -> list[BriefFile]:
        """Return the files of this scope in the order of the ids."""
        return [self.files[scope_id, each] for each in file_ids if (scope_id, each) in self.files]


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
    """Return ports that share one memory. Each definition is version 1 of its workflow."""
    clock = ManualClock()
    executions, documents, ledger = InMemoryExecutionRepository(), InMemoryDocumentRepository(), InMemoryLedger()
    return Ports(
        repositories=Repositories(documents=documents, executions=executions, files=InMemoryFileRepository()),
        journal=InMemoryJournal(executions, documents, ledger, clock),
        ledger=ledger,
        definitions=InMemoryDefinitions({(each.id, 1): each for each in definitions}),
        models=ScriptedModelClient(script),
        drafts=InMemoryDrafts(),
        clock=clock,
        chance=FixedRandom(),
    )
