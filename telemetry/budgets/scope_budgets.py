"""Monthly budgets of root scopes, and their spending."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from common.database import bulk
from common.ttl_cache import TtlCache
from telemetry.models import ModelCall, ScopeBudget

FRESH_SECONDS = 2.0  # max delay until a process learns of a new budget

_LOCK = """
SELECT scope_id, max_cost_usd FROM telemetry_scopebudget WHERE scope_id = ANY(%s) ORDER BY scope_id FOR UPDATE"""
_SPENT = """
SELECT coalesce(sum(coalesce(cost_usd, estimated_cost_usd)), 0) FROM telemetry_modelcall
WHERE scope_id = %s AND started_at >= %s"""


def _load_budgeted_scopes() -> frozenset[UUID]:
    return frozenset(ScopeBudget.objects.values_list("scope_id", flat=True))


#: Ids of the scopes that have a budget. Most scopes have none, and so cost no query.
BUDGETED_SCOPES: TtlCache[frozenset[UUID]] = TtlCache(
    _load_budgeted_scopes, empty=frozenset(), ttl_seconds=FRESH_SECONDS
)


def budgeted_among(scope_ids: Iterable[UUID]) -> frozenset[UUID]:
    """Return the scopes that have a budget, as of `FRESH_SECONDS` ago at the latest."""
    return BUDGETED_SCOPES.get().intersection(scope_ids)


def lock_budgets(scope_ids: Iterable[UUID]) -> bulk.LazyResult[dict[UUID, Decimal]]:
    """Lock the budgets of the scopes in id order, and return their monthly limits in US dollars."""
    found = sorted(budgeted_among(scope_ids))
    return bulk.LazyResult(bulk.execute(_LOCK, [found]) if found else None, dict)


def month_start(moment: datetime) -> datetime:
    """Return the start of the month in UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def monthly_spending(scope_id: UUID, *, now: datetime) -> bulk.LazyResult[Decimal]:
    """Query the US dollars of this month's calls. A call without a known cost counts with its max cost."""
    return bulk.LazyResult(bulk.execute(_SPENT, [scope_id, month_start(now)]), lambda rows: Decimal(rows[0][0]))


def with_spent(rows: QuerySet[ScopeBudget], *, now: datetime) -> QuerySet[ScopeBudget]:
    """Annotate budgets with `spent_usd`, computed as in `monthly_spending`."""
    calls = ModelCall.objects.filter(scope_id=OuterRef("scope_id"), started_at__gte=month_start(now))
    sums = calls.order_by().values("scope_id").annotate(usd=Sum(Coalesce("cost_usd", "estimated_cost_usd")))
    return rows.annotate(spent_usd=Coalesce(Subquery(sums.values("usd")), Decimal(0)))


def remaining_budgets(scopes: QuerySet[Any, Any] | Collection[UUID], *, now: datetime) -> QuerySet[ScopeBudget, Any]:
    """Return the remaining US dollars of each budgeted scope; negative if overspent."""
    rows = with_spent(ScopeBudget.objects.filter(scope_id__in=scopes).order_by("scope_id"), now=now)
    return rows.values_list("scope_id", F("max_cost_usd") - F("spent_usd"))


def remaining_budget(scope_id: UUID, *, now: datetime) -> Decimal | None:
    """Return this month's remaining US dollars, negative if overspent; None if the scope has no budget."""
    return dict(remaining_budgets([scope_id], now=now)).get(scope_id)
