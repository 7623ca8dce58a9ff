"""Monthly budgets of root scopes: reading one with its spending, and changing it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import NullIf

from access.selectors import Person, named_roots, visible_roots
from common.errors import PreconditionFailed
from telemetry.models import ScopeBudget
from telemetry.spending import BUDGETED_SCOPES, month_start, monthly_spending, with_spent


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyBudget:
    """The budget of a root scope, and what this month's calls have spent or reserved."""

    max_cost_usd: Decimal | None  # None: no budget
    spent_usd: Decimal
    month_started_at: datetime
    version: int | None  # None: no budget

    @property
    def remaining_usd(self) -> Decimal | None:
        """US dollars; negative if overspent; None: no budget."""
        return None if self.max_cost_usd is None else self.max_cost_usd - self.spent_usd


def monthly_budget(scope_id: UUID, *, now: datetime) -> MonthlyBudget:
    """Return the budget of a root scope with its spending. Permissions are not checked."""
    row = ScopeBudget.objects.filter(scope_id=scope_id).first()
    return MonthlyBudget(
        max_cost_usd=None if row is None else row.max_cost_usd,
        spent_usd=monthly_spending(scope_id, now=now).value,
        month_started_at=month_start(now),
        version=None if row is None else row.version,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLine:
    """A scope's budget of this month, and what is spent or reserved of it."""

    scope: Any
    max_cost_usd: Decimal
    spent_usd: Decimal

    @property
    def share(self) -> float:
        """The spent share of the budget, from 0 to 1; 1 for a budget of nothing."""
        return min(float(self.spent_usd / self.max_cost_usd), 1.0) if self.max_cost_usd else 1.0


def visible_budgets(
    *, user: Person, now: datetime, limit: int, scope_type: str | None = None, scope_id: str | None = None
) -> list[BudgetLine]:
    """Return the budgets of the root scopes that the user may read; those of which most is spent come first."""
    rows = ScopeBudget.objects.filter(scope__in=named_roots(scope_type=scope_type, scope_key=scope_id))
    if (roots := visible_roots(user)) is not None:
        rows = rows.filter(scope__in=roots)
    share = F("spent_usd") / NullIf(F("max_cost_usd"), Decimal(0))  # NULL: a budget of nothing
    found: Any = with_spent(rows.select_related("scope"), now=now).order_by(share.desc(nulls_first=True), "scope_id")
    return [
        BudgetLine(scope=row.scope, max_cost_usd=row.max_cost_usd, spent_usd=row.spent_usd) for row in found[:limit]
    ]


@transaction.atomic
def set_budget(
    scope_id: UUID, *, max_cost_usd: Decimal | None, expected_versions: Collection[int] | None, now: datetime
) -> MonthlyBudget:
    """Store the budget of a root scope; None removes it. The same amount again changes nothing.

    Raises:
        PreconditionFailed: the budget's version is not in `expected_versions`.
    """
    rows = ScopeBudget.objects.select_for_update().filter(scope_id=scope_id)
    if expected_versions is not None and not rows.filter(version__in=expected_versions).exists():
        raise PreconditionFailed
    if max_cost_usd is None:
        rows.delete()
    else:
        row, is_new = rows.get_or_create(scope_id=scope_id, defaults={"max_cost_usd": max_cost_usd})
        if not is_new and row.max_cost_usd != max_cost_usd:  # two may have set the first budget at once
            row.max_cost_usd, row.version = max_cost_usd, row.version + 1
            row.save(update_fields=["max_cost_usd", "version"])
    transaction.on_commit(BUDGETED_SCOPES.clear)
    return monthly_budget(scope_id, now=now)
