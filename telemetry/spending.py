"""Usage of budgets: of executions, and of root scopes in a month. Calls without a known result count with their max."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from common.database import bulk
from common.database.bulk import SqlQuery
from common.ttl_cache import TtlCache
from telemetry.models import ModelCall, ScopeBudget

FRESH_SECONDS = 2.0  # max delay until a process learns of a new budget

_LOCK = """
SELECT scope_id, max_cost_usd FROM telemetry_scopebudget WHERE scope_id = ANY(%s) ORDER BY scope_id FOR UPDATE"""
_SPENT_IN_SCOPE = """
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
    return bulk.LazyResult(
        bulk.execute(_SPENT_IN_SCOPE, [scope_id, month_start(now)]), lambda rows: Decimal(rows[0][0])
    )


def spent_of_ledger(scope_ids: Collection[UUID], *, since: datetime) -> dict[UUID, Decimal]:
    """Return the US dollars of the calls of scopes since a moment, computed as in `monthly_spending`."""
    calls = ModelCall.objects.filter(scope_id__in=scope_ids, started_at__gte=since)
    sums = calls.order_by().values("scope_id").annotate(usd=Sum(Coalesce("cost_usd", "estimated_cost_usd")))
    return {key: usd or Decimal(0) for key, usd in sums.values_list("scope_id", "usd")}


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


_SPENT_SUMS = """coalesce(sum(coalesce(cost_usd, estimated_cost_usd)), 0),
  coalesce(sum(greatest(
    reserved_tokens, input_tokens + cache_read_input_tokens + cache_write_input_tokens + output_tokens
  )), 0)::bigint,
  count(*) FILTER (WHERE NOT starts_with(error, %s)),
  count(*) FILTER (WHERE cost_usd IS NULL AND estimated_cost_usd IS NULL AND status <> 'failed')
FROM telemetry_modelcall"""
_SPENT_BY_ONE = f"SELECT {_SPENT_SUMS} WHERE execution_id = %s AND id <> ALL(%s)"
_SPENT_BY_EXECUTION = f"""
SELECT execution_id, {_SPENT_SUMS} WHERE execution_id = ANY(%s) GROUP BY execution_id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """Budget usage of calls, with max values for calls without a known result."""

    cost_usd: Decimal = Decimal(0)
    tokens: int = 0
    calls: int = 0
    unpriced_calls: int = 0  # may have cost something, but have neither a cost nor a max cost


def execution_usage(execution_id: UUID, *, withdrawn: str, excluded: Collection[UUID] = ()) -> UsageTotals:
    """Return the usage of an execution, without the excluded rows.

    Calls whose error starts with `withdrawn` were never sent, and do not count.
    """
    [found] = bulk.execute(_SPENT_BY_ONE, [withdrawn, execution_id, list(excluded)]).fetchall()
    return UsageTotals(**dict(zip(UsageTotals.__dataclass_fields__, found, strict=True)))


def usage_query(execution_ids: Iterable[UUID], *, withdrawn: str) -> SqlQuery:
    """Return the query for the usage of many executions; pass its rows to `usage_by_execution`."""
    return SqlQuery(_SPENT_BY_EXECUTION, [withdrawn, list(execution_ids)])


def usage_by_execution(rows: Iterable[tuple[Any, ...]]) -> dict[UUID, UsageTotals]:
    """Return the usage by execution id; executions without calls are omitted."""
    return {
        execution_id: UsageTotals(**dict(zip(UsageTotals.__dataclass_fields__, found, strict=True)))
        for execution_id, *found in rows
    }
