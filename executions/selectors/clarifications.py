"""The inbox: steps and executions that wait for people, as far as the user may see them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, Value

from access.selectors import Person, root_of, visible_scopes
from documents import selectors as documents
from executions import models
from executions.engine.domain.clarification import ClarificationRound
from executions.engine.domain.states import ExecutionStatus, StepStatus, WaitingOn

MAX_COUNT = 101  # maximum count of each kind; the client shows "100+"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """Waiting work: documents for a decision, with titles, and executions that need a bigger budget.

    The lists contain the oldest ones. `count` includes open questions and counts at most `MAX_COUNT` of each kind.
    """

    decisions: list[tuple[models.ExecutionStep, str]]
    budgets: list[models.Execution]
    count: int


def inbox(user: Person) -> Inbox:
    """Return the waiting work in executions that the user may see."""
    decisions, budgets = list(_open_decisions(user)[:MAX_COUNT]), list(_blocked_by_budget(user)[:MAX_COUNT])
    pairs = [(row.document_id, row.document_version) for row in decisions]
    found = documents.headings(pairs)
    named = [(row, found.get(pair, documents.NO_HEADING).title) for row, pair in zip(decisions, pairs, strict=True)]
    asked = open_clarifications(user=user)[:MAX_COUNT].count()
    return Inbox(decisions=named, budgets=budgets, count=asked + len(decisions) + len(budgets))


def count_waiting(user: Person) -> int:
    """Return the number of open questions, decisions and budget requests; at most `MAX_COUNT` of each kind."""
    kinds: tuple[QuerySet[Any], ...] = (open_clarifications(user=user), _open_decisions(user), _blocked_by_budget(user))
    first, *others = (rows.order_by().annotate(one=Value(1)).values("one")[:MAX_COUNT] for rows in kinds)
    return first.union(*others, all=True).count()


def _open_decisions(user: Person) -> QuerySet[models.ExecutionStep]:
    """Return the steps whose document waits for a decision, ordered by the age of their executions."""
    open_now = Q(execution__status=ExecutionStatus.WAITING.value) | Q(
        execution__status__in=[ExecutionStatus.PENDING.value, ExecutionStatus.RUNNING.value]
    )
    rows = models.ExecutionStep.objects.select_related("execution__scope").defer("execution__input")
    rows = rows.filter(open_now, execution__scope__in=visible_scopes(user))
    waiting = rows.filter(status=StepStatus.WAITING.value, asked_at=None, resume_at=None)
    return waiting.order_by("execution__created_at", "execution_id", "position", "item_order", "id")


def _blocked_by_budget(user: Person) -> QuerySet[models.Execution]:
    """Return the executions that need a bigger budget, oldest first."""
    rows = models.Execution.objects.select_related("scope").defer("input").filter(scope__in=visible_scopes(user))
    short = rows.filter(status=ExecutionStatus.WAITING.value, waiting_on__contains=[WaitingOn.BUDGET.value])
    return short.order_by("created_at", "id")


def with_questions(rows: Iterable[models.ExecutionStep]) -> list[OpenClarification]:
    """Return steps together with their open questions."""
    return [OpenClarification(step=row, round=ClarificationRound.model_validate(row.rounds[-1])) for row in rows]
