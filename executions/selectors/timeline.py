"""What the timeline, the log and the answers of an execution show. Rights are not checked: callers have read it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.postgres.aggregates import BoolOr
from django.db.models import (
    Case,
    Count,
    F,
    FloatField,
    Func,
    IntegerField,
    Max,
    Min,
    Q,
    QuerySet,
    TextField,
    Value,
    When,
)
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, Greatest, Least

from executions import models
from executions.engine.domain.acceptance import CHANGES_REQUESTED
from executions.engine.domain.events import EventType, ProgressEvent
from executions.engine.domain.states import UNFINISHED, CallKind, ExecutionStatus, StepStatus
from executions.selectors.executions import progress_event
from telemetry import selectors as telemetry


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

    @classmethod
    def of(cls, row: models.ExecutionStep) -> NamedStep:
        """Return what names a step, from its row."""
        return cls(
            step_id=row.step_id,
            name=row.name,
            label=row.label,
            document_id=row.document_id,
            document_version=row.document_version,
        )


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


# --- times ------------------------------------------------------------------------------------------------------------

MAX_CALLS = 2_000  # of the steps that are drawn one by one
MAX_TURNS = 1_000  # starts and ends of waits
_ITEM = "@"  # in the id of a step for an item; see `slug_of`
_TURNS = (
    EventType.EXECUTION_WAITING,
    EventType.EXECUTION_RESUMED,
    EventType.EXECUTION_RETRIED,
    EventType.COMPLETE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSums:
    """What the steps of one definition step over items have come to."""

    position: int  # of the definition step
    total: int
    done: int
    failed: int
    waiting: int
    begun_at: datetime | None  # the first one
    finished_at: datetime | None  # the last one that has ended
    is_open: bool  # one of these steps has not ended


def single_steps(execution_id: UUID) -> list[models.ExecutionStep]:
    """Return the steps that are not over items, in order of definition."""
    rows = models.ExecutionStep.objects.filter(execution_id=execution_id).exclude(step_id__contains=_ITEM)
    return list(rows.order_by("position", "id"))


def item_sums(execution_id: UUID) -> dict[int, ItemSums]:
    """Return what the steps over items have come to, by the position of their definition step."""
    rows = models.ExecutionStep.objects.filter(execution_id=execution_id, step_id__contains=_ITEM)
    found = (
        rows.order_by()
        .values("position")
        .annotate(
            total=Count("id"),
            done=Count("id", filter=Q(status=StepStatus.COMPLETED.value)),
            failed=Count("id", filter=Q(status=StepStatus.FAILED.value)),
            waiting=Count("id", filter=Q(status=StepStatus.WAITING.value)),
            begun_at=Min("started_at"),
            finished_at=Max("finished_at"),
            is_open=BoolOr(Q(status__in=[each.value for each in UNFINISHED])),
        )
    )
    return {each["position"]: ItemSums(**each) for each in found}


def steps_of_items(
    execution_id: UUID, positions: Collection[int], *, start: int = 0, limit: int
) -> list[models.ExecutionStep]:
    """Return steps over items of some definition steps, in the order of these and of items, from one on."""
    rows = models.ExecutionStep.objects.filter(execution_id=execution_id, position__in=positions)
    rows = rows.filter(step_id__contains=_ITEM).order_by("position", "item_order", "id")
    return list(rows[start : start + limit])


def finished_at(execution_id: UUID, step_ids: Collection[str]) -> dict[str, datetime | None]:
    """Return when steps ended; None: they have not."""
    if not step_ids:
        return {}
    rows = models.ExecutionStep.objects.filter(execution_id=execution_id, step_id__in=step_ids)
    return dict(rows.values_list("step_id", "finished_at"))


class CallRow(NamedTuple):
    """One call of a step, without tokens and texts."""

    step_id: str
    attempt: int
    kind: str
    status: str
    requested_model: str
    started_at: datetime
    finished_at: datetime | None


def calls_of_steps(execution_id: UUID, step_ids: Collection[str]) -> list[CallRow]:
    """Return the newest `MAX_CALLS` calls of steps, oldest first."""
    rows = telemetry.calls_of(execution_id).filter(step_id__in=step_ids).order_by("-started_at", "-id")
    return [CallRow(*each) for each in rows.values_list(*CallRow._fields)[:MAX_CALLS]][::-1]


def turns(execution_id: UUID) -> list[ProgressEvent]:
    """Return the newest `MAX_TURNS` events with which an execution waits, goes on, ends or is retried; oldest first."""
    rows = models.ExecutionEvent.objects.filter(
        execution_id=execution_id, event_type__in=[each.value for each in _TURNS]
    )
    return [progress_event(each) for each in rows.order_by("-sequence", "-id")[:MAX_TURNS]][::-1]


class ItemRun(NamedTuple):
    """So many steps over items that were in the same buckets from one to another one, both included."""

    key: Any  # position of the definition step, or its id
    is_review: bool
    first: int
    last: int
    number: int


@dataclass(frozen=True, slots=True)
class Grid:
    """A stretch of time in equal buckets."""

    begin: datetime
    end: datetime
    buckets: int


def item_runs(execution_id: UUID, positions: Collection[int], grid: Grid) -> list[ItemRun]:
    """Return when steps over items had begun and not ended, summed in buckets."""
    rows = models.ExecutionStep.objects.filter(
        execution_id=execution_id, step_id__contains=_ITEM, position__in=positions, started_at__isnull=False
    )
    return _runs(rows.order_by().annotate(key=F("position"), review=Value(False)), grid)


def item_call_runs(execution_id: UUID, slugs: Collection[str], grid: Grid) -> list[ItemRun]:
    """Return when calls of steps over items were under way, summed in buckets."""
    rows = telemetry.calls_of(execution_id).filter(step_id__contains=_ITEM).order_by()
    slug = Func(F("step_id"), Value(_ITEM), Value(1), function="split_part", output_field=TextField())
    review = Case(When(kind=CallKind.REVIEW.value, then=Value(True)), default=Value(False))
    return _runs(rows.annotate(key=slug, review=review).filter(key__in=slugs), grid)


def _runs(rows: QuerySet[Any], grid: Grid) -> list[ItemRun]:
    first = _bucket(F("started_at"), grid)
    until = _bucket(Coalesce(F("finished_at"), Value(grid.end)), grid)
    summed = rows.annotate(first=first, last=Greatest(F("first"), until - 1)).values("key", "review", "first", "last")
    found = summed.annotate(number=Count("*")).values_list("key", "review", "first", "last", "number")
    return [ItemRun(*each) for each in found]


def _bucket(moment: Any, grid: Grid) -> Any:
    """Return the bucket of a moment, from 0; what lies outside is in the first or the last one."""
    bounds = (Value(each.timestamp(), output_field=FloatField()) for each in (grid.begin, grid.end))
    seconds = Func(moment, template="extract(epoch from %(expressions)s)::float8", output_field=FloatField())
    number = Func(seconds, *bounds, Value(grid.buckets), function="width_bucket", output_field=IntegerField())
    return Least(Greatest(number - 1, 0), grid.buckets - 1)


# --- what people said -------------------------------------------------------------------------------------------------


def steps_with_people(execution_id: UUID, *, start: int, limit: int) -> list[models.ExecutionStep]:
    """Return the steps with questions or decisions, in the order of definition and items, from one on."""
    rows = models.ExecutionStep.objects.filter(execution_id=execution_id).exclude(rounds=[], decisions=[])
    return list(rows.order_by("position", "item_order", "id")[start : start + limit])
