"""Monthly budgets of root scopes: reading one with its spending, and changing it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from common.errors import PreconditionFailed
from telemetry.models import ScopeBudget
from telemetry.spending import BUDGETED_SCOPES, month_start, monthly_spending


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
