"""Monthly budgets of root scopes: reading one with its spending, and changing it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from heapq import nsmallest
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction

from access.selectors import Person, named_roots, visible_roots
from common.errors import PreconditionFailed
from telemetry.models import ScopeBudget
from telemetry.rollups.cuts import Cut
from telemetry.rollups.reads import Filters, Question, ask, snapshot
from telemetry.spending import BUDGETED_SCOPES, month_start, monthly_spending, spent_of_ledger


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
    budgets = list(rows.select_related("scope"))
    spent = spent_in_month([row.scope_id for row in budgets], now=now) if budgets else {}
    lines = [
        BudgetLine(scope=row.scope, max_cost_usd=row.max_cost_usd, spent_usd=spent.get(row.scope_id, Decimal(0)))
        for row in budgets
    ]
    return nsmallest(limit, lines, key=_most_spent_first)


def _most_spent_first(line: BudgetLine) -> tuple[bool, Decimal, UUID]:
    share = line.spent_usd / line.max_cost_usd if line.max_cost_usd else Decimal(0)
    return bool(line.max_cost_usd), -share, line.scope.id  # a budget of nothing comes first


def spent_in_month(scope_ids: Collection[UUID], *, now: datetime) -> dict[UUID, Decimal]:
    """Return the US dollars of this month's calls by root scope, as `monthly_spending` does.

    Rollups have the known costs, so the number of calls plays no part. Scopes with calls whose cost is not known are
    read from the ledger, which has their max costs.
    """
    since, by_scope = month_start(now), Question(cut=Cut.SCOPE)
    with snapshot():
        ask([by_scope], Filters(since=since, scope_ids=scope_ids), ZoneInfo("UTC"))
        found = {UUID(key): sums for (_, key, _), sums in by_scope.answer.items()}
        unknown = [key for key, sums in found.items() if sums.unpriced_calls]
        known = {key: sums.known_cost_usd for key, sums in found.items()}
        return known | (spent_of_ledger(unknown, since=since) if unknown else {})


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
