"""Executions and events in the database, for tests of streams: who may see them, and what their log says."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.models import User
from django.utils import timezone
from uuid_utils.compat import uuid7

from access.services import claim_root_scope, ensure_user, issue_token
from executions.engine.events import EventType
from executions.engine.states import ExecutionStatus
from executions.models import Execution, ExecutionEvent
from workflows.models import Workflow, WorkflowVersion


def make_user(name: str) -> tuple[User, str]:
    """Return a user and a token of theirs."""
    user = ensure_user(name=name)
    return user, issue_token(user)[1]


def make_execution(owner: User) -> UUID:
    """Return a new execution in a scope of the owner's; its log is empty."""
    now = timezone.now()
    workflow, _ = Workflow.objects.get_or_create(
        id="letters", defaults={"name": "Letters", "description": "", "step_count": 1, "version": 1, "updated_at": now}
    )
    version, _ = WorkflowVersion.objects.get_or_create(
        workflow=workflow, version=1, defaults={"definition": {}, "content_hash": "0", "published_at": now}
    )
    execution_id = uuid7()
    Execution.objects.create(
        id=execution_id,
        workflow_version=version,
        workflow_id=workflow.id,
        scope=claim_root_scope(user=owner, scope_type="project", scope_key=str(execution_id)),
        status=ExecutionStatus.RUNNING,
        input="A letter.",
        requested_by=owner,
        created_at=now,
        updated_at=now,
    )
    return execution_id


def append(execution_id: UUID, *event_types: EventType) -> None:
    """Write events; `complete` also ends the execution. Nobody is told."""
    execution = Execution.objects.get(id=execution_id)
    for event_type in event_types:
        execution.last_sequence += 1
        ExecutionEvent.objects.create(
            execution=execution,
            sequence=execution.last_sequence,
            event_type=event_type,
            step_id=None if event_type is EventType.COMPLETE else "draft",
            data={"number": execution.last_sequence, "text": "two\nlines"},
            timestamp=timezone.now(),
        )
        if event_type is EventType.COMPLETE:
            execution.status = ExecutionStatus.COMPLETED
    execution.save(update_fields=["last_sequence", "status"])
