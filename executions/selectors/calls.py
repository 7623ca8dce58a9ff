"""Calls of an execution, for users who may see it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from access.selectors import Person
from common.errors import NotFound
from executions.engine.domain.calls import CallKey
from executions.selectors import executions
from telemetry import selectors as telemetry


def calls(*, user: Person, execution_id: UUID, **filters: Any) -> QuerySet[Any]:
    """Return the calls of an execution without their replies, oldest first.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
    """
    executions.execution(user=user, execution_id=execution_id)
    return telemetry.calls_of(execution_id).filter(**filters).defer("reply", "billing", "tags")


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
