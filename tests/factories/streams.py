"""Executions and events in the database for tests of streams, with roles and logs."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from django.utils import timezone
from uuid_utils.compat import uuid7

from access.services import claim_root_scope, ensure_user, issue_token
from access.user import User
from executions.db_threads import in_thread
from executions.engine.domain.events import (
    ClarificationNeeded,
    Complete,
    DocumentEdited,
    Event,
    ExecutionStarted,
    StepSkipped,
)
from executions.engine.domain.execution import Execution, ScopeRef
from executions.engine.domain.states import ExecutionStatus
from executions.engine.ports import Transition
from executions.engine.transitions.core import Change, Context
from executions.persistence.journal import journal
from workflows import repository as workflows
from workflows.definitions.parser import parse_definition

LETTERS = {
    "id": "letters",
    "name": "Letters",
    "description": "Writes letters.",
    "roles": {"writer": {"name": "Writer", "instructions": "You write."}},
    "steps": [
        {
            "id": "draft",
            "name": "Draft",
            "role": "writer",
            "task": "Write.",
            "produces": "letter",
            "output_schema": {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]},
        }
    ],
}

STARTED = ExecutionStarted()
ASKED = ClarificationNeeded(step_id="draft", questions=())
SKIPPED = StepSkipped(step_id="draft", reason="two\nlines")
EDITED = DocumentEdited(
    step_id=None,
    document_id=UUID(int=1),
    document_version=2,
    document_type="letter",
    title="A letter",
    base_version=1,
    note="",
    edited_by="ann",
    repeated=False,
)
COMPLETE = Complete(status=ExecutionStatus.COMPLETED, failure_code=None, totals={})


def make_user(name: str) -> tuple[User, str]:
    """Return a user and a token of theirs."""
    user = ensure_user(name=name)
    return user, issue_token(user)[1]


def make_execution(owner: User, *, scope: str | None = None) -> UUID:
    """Return a new execution in this project of the owner's, by default one of its own; it runs, its log is empty."""
    now = timezone.now()
    version, _ = workflows.publish(parse_definition(LETTERS), now=now)
    execution_id = uuid7()
    place = claim_root_scope(user=owner, scope_type="project", scope_key=scope or str(execution_id))
    execution = Execution(
        id=execution_id,
        workflow_id="letters",
        workflow_version=version,
        scope=ScopeRef(id=place.id, type=place.type, key=place.key),
        input="A letter.",
        steps={},
        created_at=now,
        updated_at=now,
        status=ExecutionStatus.RUNNING,
        requested_by=owner.id,
    )
    return journal.create(Change(execution=execution)).id


async def prepared(*events: Event) -> tuple[UUID, str]:
    """Return an execution with these events, and its owner's token."""

    def prepare() -> tuple[UUID, str]:
        owner, token = make_user("alice")
        execution_id = make_execution(owner)
        append(execution_id, *events)
        return execution_id, token

    return await in_thread(prepare)


async def happen(execution_id: UUID, *events: Event) -> None:
    """Write events through the journal, with notifications."""
    await in_thread(append, execution_id, *events)


def append(execution_id: UUID, *events: Event) -> None:
    """Write events as one change; `complete` also ends the execution."""

    def decide(execution: Execution, _context: Context) -> Change:
        ended = COMPLETE in events
        changed = replace(execution, status=ExecutionStatus.COMPLETED) if ended else execution
        return Change(execution=changed, events=events)

    journal.apply(Transition(execution_id=execution_id, fencing_token=None, decide=decide), now=timezone.now())
