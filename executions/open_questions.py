"""The inbox: what people are asked, over all executions that they may see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet

from access.names import spellings
from access.selectors import Person, visible_scopes
from executions import models
from executions.engine.clarification import ClarificationRound


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenClarification:
    """A step that waits for answers, and what it asks."""

    step: models.ExecutionStep
    round: ClarificationRound


def open_clarifications(
    *, user: Person, workflow_id: str | None = None, scope_type: str | None = None, scope_id: str | None = None
) -> QuerySet[models.ExecutionStep]:
    """Return the steps that wait for answers, in executions that the user may see."""
    wanted = {
        "execution__workflow_id": workflow_id,
        "execution__scope__type": scope_type,
        "execution__scope__key__in": None if scope_id is None else spellings(scope_id),
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    rows = models.ExecutionStep.objects.select_related("execution__scope").defer("execution__input")
    return rows.filter(asked_at__isnull=False, execution__scope__in=visible_scopes(user), **given)


def described(rows: Iterable[models.ExecutionStep]) -> list[OpenClarification]:
    """Return steps that wait for answers with what they ask."""
    return [OpenClarification(step=row, round=ClarificationRound.model_validate(row.rounds[-1])) for row in rows]
