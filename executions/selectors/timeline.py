"""What the timeline and the log of an execution show. Permissions are not checked: callers have read the execution."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.db.models import Q
from django.db.models.fields.json import KT

from executions import models
from executions.engine.domain.acceptance import CHANGES_REQUESTED
from executions.engine.domain.events import EventType, ProgressEvent
from executions.engine.domain.states import ExecutionStatus
from executions.selectors.executions import progress_event


class LogFilter(StrEnum):
    """Which events of a log are shown."""

    ALL = "all"
    #: What people did, and what waits for people.
    PEOPLE = "people"
    FAILURES = "failures"


_PEOPLE = (
    EventType.EXECUTION_CREATED,
    EventType.CLARIFICATION_NEEDED,
    EventType.CLARIFICATION_ANSWERED,
    EventType.ACCEPTANCE_NEEDED,
    EventType.ACCEPTANCE_VOTED,
    EventType.ACCEPTANCE_DECIDED,
    EventType.WAIT_REMINDER,
    EventType.WAIT_OVERDUE,
    EventType.DOCUMENT_EDITED,
    EventType.EXECUTION_RETRIED,
    EventType.BUDGET_CHANGED,
)
_FAILURES = (EventType.STEP_FAILED, EventType.STEP_SKIPPED, EventType.BUDGET_WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedStep:
    """A step as sentences name it."""

    step_id: str
    name: str
    label: str  # of its item; empty: it has none, or it was erased
    document_id: UUID | None
    document_version: int | None


def newest_events(
    execution_id: UUID, *, which: LogFilter = LogFilter.ALL, before: int | None = None, limit: int
) -> list[ProgressEvent]:
    """Return stored events, newest first; with `before`, those with a smaller number."""
    rows = models.ExecutionEvent.objects.filter(execution_id=execution_id)
    if before is not None:
        rows = rows.filter(sequence__lt=before)
    if which is LogFilter.PEOPLE:
        rows = rows.filter(event_type__in=[each.value for each in _PEOPLE])
    elif which is LogFilter.FAILURES:
        rows = rows.alias(status=KT("data__status"), violation=KT("data__violations__0__code")).filter(
            Q(event_type__in=[each.value for each in _FAILURES])
            | Q(event_type=EventType.COMPLETE.value, status=ExecutionStatus.FAILED.value)
            | (Q(event_type=EventType.REMEDIATION_STARTED.value) & ~Q(violation=CHANGES_REQUESTED))
        )
    return [progress_event(each) for each in rows.order_by("-sequence", "-id")[:limit]]


def named_steps(execution_id: UUID, step_ids: Collection[str]) -> dict[str, NamedStep]:
    """Return names and documents of steps by their id; unknown ids are left out."""
    if not step_ids:
        return {}
    rows = models.ExecutionStep.objects.filter(execution_id=execution_id, step_id__in=step_ids)
    columns = ("step_id", "name", "label", "document_id", "document_version")
    return {each["step_id"]: NamedStep(**each) for each in rows.values(*columns)}
