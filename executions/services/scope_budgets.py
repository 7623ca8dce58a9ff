"""Commands: monthly budgets of root scopes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from access.audit import Act, record
from access.permissions import Action
from access.selectors import scope_for
from access.user import User
from telemetry import scope_budgets
from telemetry.scope_budgets import MonthlyBudget


@transaction.atomic
def change_scope_budget(
    *,
    user: User,
    scope_type: str,
    scope_key: str,
    max_cost_usd: Decimal | None,
    expected_versions: Collection[int] | None,
    now: datetime,
) -> MonthlyBudget:
    """Change the monthly budget of a root scope; None removes it. Workers resume what it blocked within seconds.

    Raises:
        NotFound: there is no such scope, or none that the user may see.
        Forbidden: the user is no owner of the scope.
        PreconditionFailed: the budget's version is not in `expected_versions`.
    """
    scope = scope_for(user, Action.SET_BUDGET, scope_type=scope_type, scope_key=scope_key)
    stored = scope_budgets.set_budget(scope.id, max_cost_usd=max_cost_usd, expected_versions=expected_versions, now=now)
    record(Act.SCOPE_BUDGET, "scope", scope.id, root_id=scope.id, version=stored.version)
    return stored
