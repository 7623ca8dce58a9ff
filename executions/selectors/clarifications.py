"""Open questions, as far as the user may see them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from access.selectors import Person, root_of, visible_scopes
from executions import models
from executions.engine.domain.clarification import ClarificationRound


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenClarification:
    """A step with open questions, and the round of questions."""

    step: models.ExecutionStep
    round: ClarificationRound


def open_clarifications(
    *,
    user: Person,
    workflow_id: str | None = None,
    scope_type: str | None = None,
    scope_id: str | None = None,
    scope: UUID | None = None,
) -> QuerySet[models.ExecutionStep]:
    """Return the steps with open questions, in executions that the user may see."""
    wanted: dict[str, Any] = {
        "execution__workflow_id": workflow_id,
        "execution__scope__type": scope_type,
        "execution__scope__key": scope_id,
    }
    if scope is not None:
        wanted["execution__scope_id" if root_of(scope) == scope else "scope_id"] = scope
    given = {name: value for name, value in wanted.items() if value is not None}
    rows = models.ExecutionStep.objects.select_related("execution__scope").defer("execution__input")
    return rows.filter(asked_at__isnull=False, execution__scope__in=visible_scopes(user), **given)


def with_questions(rows: Iterable[models.ExecutionStep]) -> list[OpenClarification]:
    """Return steps together with their open questions."""
    return [OpenClarification(step=row, round=ClarificationRound.model_validate(row.rounds[-1])) for row in rows]
