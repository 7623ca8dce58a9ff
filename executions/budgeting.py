"""What people do about budgets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from access.selectors import Role
from executions import sweep
from executions.engine import budgets, changes
from executions.engine.errors import NotFound, NotWaiting
from executions.engine.execution import Execution
from executions.holding import apply, hold
from executions.jobs import enqueue_advance
from telemetry import scope_budgets
from workflows.budget import Budget


def with_limits(budget: Budget | None, limits: Mapping[str, Any] | None) -> Budget | None:
    """Return a budget with some of its limits in place of what it had; None when nothing is limited then."""
    known = {} if budget is None else budget.model_dump()
    merged = Budget(**{**known, **(limits or {})})
    return merged if merged.has_limits else None


@transaction.atomic
def change_budget(
    *,
    user: User,
    execution_id: UUID,
    limits: Mapping[str, Any],
    now: datetime,
    expected_versions: Collection[int] | None = None,
) -> Execution:
    """Give an execution other limits, those that are named; null takes one away. What waits for a budget tries again.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
        Forbidden: the user's role does not reach.
        IllegalTransition: it has ended.
        VersionConflict: the present version is none of `expected_versions`.
    """
    current = hold(user, execution_id, Role.OPERATOR, expected_versions=expected_versions)
    budget, by = with_limits(current.budget, limits), user.get_username()
    if budget == current.budget and not current.ended:
        return current

    def decide(execution: Execution, context: changes.Context) -> changes.Change:
        return budgets.change_budget(execution, budget, changed_by=by, context=context)

    stored = apply(execution_id, decide, now)
    enqueue_advance(execution_id)
    return stored


def release_scopes(*, now: datetime) -> int:
    """Let the executions go on whose scopes have room again for what they wait to spend; return how many.

    A month has begun, the scope's budget was raised or taken away, or calls have used less than was reserved for them.

    Raises:
        Unavailable: the connection was lost; those done so far are.
    """
    released, rooms = 0, dict[UUID, Decimal | None]()
    for execution_id, scope_id, needs_usd in sweep.short_of_month():
        if scope_id not in rooms:
            rooms[scope_id] = scope_budgets.room(scope_id, now=now)
        room = rooms[scope_id]
        if room is not None:
            if needs_usd is None or needs_usd > room:
                continue
            rooms[scope_id] = room - needs_usd
        released += _release(execution_id, now)
    return released


@transaction.atomic
def _release(execution_id: UUID, now: datetime) -> bool:
    try:
        apply(execution_id, lambda execution, context: budgets.scope_has_room(execution, context=context), now)
    except (NotWaiting, NotFound):
        return False  # another worker was quicker, or it has ended
    enqueue_advance(execution_id)
    return True
