"""Calls of an execution, for users who may see it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import CharField, F, Func, Q, QuerySet, Value

from access.selectors import Person
from common.errors import FieldError, NotFound
from executions import models
from executions.engine.domain.calls import CallKey, ModelReply
from executions.engine.domain.events import EventType
from executions.engine.domain.states import CallKind, CallStatus
from executions.selectors import executions
from telemetry import selectors as telemetry

#: A step and the number of one of its attempts.
AttemptKey = tuple[str, int]


def calls(*, user: Person, execution_id: UUID, **filters: Any) -> QuerySet[Any]:
    """Return the calls of an execution without their replies, oldest first.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
    """
    return of_execution(executions.execution(user=user, execution_id=execution_id)).filter(**filters)


def with_slug(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return rows that have a `step_id`, with the id of the step's definition as `slug`."""
    slug = Func(F("step_id"), Value("@"), Value(1), function="split_part", output_field=CharField())
    return rows.annotate(slug=slug)


def of_step(rows: QuerySet[Any], step_id: str) -> QuerySet[Any]:
    """Return those of a step; of all its items, if it is the id of a definition that runs for each item."""
    return rows.filter(Q(step_id=step_id) | Q(step_id__startswith=f"{step_id}@"))


def of_execution(execution: Any) -> QuerySet[Any]:
    """Return the calls of an execution without their replies. Permissions are not checked."""
    return telemetry.calls_of(execution.id).defer("reply", "billing", "tags")


def violations_of(execution: Any, rows: Iterable[Any]) -> dict[UUID, list[FieldError]]:
    """Return what was found wrong in the replies of calls, by the id of the call, with two queries for all.

    An attempt that was sent back has one reply that was, the last one. A reply of a review is not judged. Permissions
    are not checked.
    """
    judged = {
        (row.step_id, row.attempt): row.id
        for row in sorted(rows, key=lambda row: row.ordinal)
        if row.status == CallStatus.COMMITTED and row.kind != CallKind.REVIEW
    }
    is_known = judged and execution.erased_at is None
    found = _violations(execution.id, {step_id for step_id, _ in judged}) if is_known else {}
    return {judged[key]: errors for key, errors in found.items() if key in judged}


def _violations(execution_id: UUID, step_ids: set[str]) -> dict[AttemptKey, list[FieldError]]:
    """Return what attempts of steps ended with: the next attempt begins with it, or the step has failed."""
    begun = models.ExecutionEvent.objects.filter(
        execution_id=execution_id, step_id__in=step_ids, event_type=EventType.REMEDIATION_STARTED.value
    )
    found = {
        (str(step_id), data["attempt"] - 1): _errors(data["violations"])
        for step_id, data in begun.order_by("sequence", "id").values_list("step_id", "data")
    }
    ended = models.ExecutionStep.objects.filter(execution_id=execution_id, step_id__in=step_ids).exclude(
        failure_code=""
    )
    for step_id, attempt, violations in ended.values_list("step_id", "attempt", "violations"):
        found[step_id, attempt] = _errors(violations)
    return found


def _errors(told: Iterable[Any]) -> list[FieldError]:
    return [FieldError.model_validate(each) for each in told]


def replies_of(execution: Any, step_id: str) -> dict[int, ModelReply]:
    """Return the last reply of each attempt of a step that was used, without reviews. Permissions are not checked."""
    made = telemetry.calls_of(execution.id).filter(step_id=step_id, status=CallStatus.COMMITTED.value)
    rows = made.exclude(kind=CallKind.REVIEW.value).filter(reply__isnull=False, erased_at=None)
    return {attempt: ModelReply.model_validate(reply) for attempt, reply in rows.values_list("attempt", "reply")}


def is_erased(key: CallKey) -> bool:
    """Return whether the texts of a call were erased. Permissions are not checked."""
    rows = telemetry.calls_of(key.execution_id).filter(step_id=key.step_id, attempt=key.attempt, kind=key.kind.value)
    return rows.filter(ordinal=key.ordinal, erased_at__isnull=False).exists()


def call(*, user: Person, execution_id: UUID, call_id: UUID) -> Any:
    """Return a call without its reply.

    Raises:
        NotFound: there is no such execution or call, or none that the user may see.
    """
    found = calls(user=user, execution_id=execution_id, id=call_id).first()
    if found is None:
        raise NotFound("There is no such call.")
    return found
