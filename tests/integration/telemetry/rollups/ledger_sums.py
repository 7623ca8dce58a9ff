"""Sums over the ledger by plain queries, without rollups: what a summary has to say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Func, Q, QuerySet, Sum, TextField
from django.db.models.functions import TruncDay

from telemetry.models import ModelCall
from telemetry.rollups.cuts import TOKENS
from telemetry.selectors import Group, Summary, Totals

_UNPRICED = Q(cost_usd=None) & ~Q(status="failed") & ~Q(estimated_cost_usd=0)
_SUMS = {
    "calls": Count("id"),
    **{f"sum_{name}": Sum(name) for name in TOKENS},
    "known_cost_usd": Sum("cost_usd"),
    "unpriced_calls": Count("id", filter=_UNPRICED),
    "pending": Count("id", filter=Q(status="pending")),
    "executions": Count("execution_id", distinct=True),
    "latency": Sum("latency_ms"),
    "timed": Count("latency_ms"),
}
KEYS: Mapping[str, Sequence[str]] = {
    "day": ("day",),
    "model": ("provider", "model"),
    "workflow": ("workflow_id",),
    "step": ("workflow_id", "step_id"),
    "scope": ("scope__type", "scope__key"),
    "user": ("user__username",),
    "tag": ("tag",),
}
Value = tuple[int, int, tuple[int, ...], str, int, bool]


def calls(
    *, since: datetime | None, until: datetime | None, scope_ids: Sequence[UUID] | None, dry_run: bool | None
) -> QuerySet[ModelCall]:
    """Return the calls that are meant."""
    conditions = {"started_at__gte": since, "started_at__lt": until, "scope__in": scope_ids, "dry_run": dry_run}
    return ModelCall.objects.filter(**{name: value for name, value in conditions.items() if value is not None})


def whole(rows: QuerySet[ModelCall]) -> tuple[Value, float | None]:
    """Return the sum over all calls, and their average latency."""
    found = rows.aggregate(**_SUMS)
    return _value(found), found["latency"] / found["timed"] if found["timed"] else None


def groups(rows: QuerySet[ModelCall], names: Sequence[str], tz: ZoneInfo) -> dict[tuple[Any, ...], Value]:
    """Return the sums by one or several groupings."""
    rows = rows.annotate(day=TruncDay("started_at", tzinfo=tz)) if "day" in names else rows
    elements = Func("tags", function="jsonb_array_elements_text", output_field=TextField())
    elements.set_returning = True
    rows = rows.annotate(tag=elements) if "tag" in names else rows
    keys = [key for name in names for key in KEYS[name]]
    renamed: dict[str, Any] = {f"key_{key}": F(key) for key in keys}
    found: Iterable[Mapping[str, Any]] = rows.order_by().values(**renamed).annotate(**_SUMS)
    return {tuple(_shown(row[name]) for name in renamed): _value(row) for row in found}


def _shown(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.date().isoformat()
    assert not isinstance(value, date)
    return value


def _value(row: Mapping[str, Any]) -> Value:
    return (
        row["calls"],
        row["executions"],
        tuple(row[f"sum_{name}"] or 0 for name in TOKENS),
        f"{row['known_cost_usd'] or 0:.10f}",
        row["unpriced_calls"],
        row["pending"] == 0,
    )


def value_of(totals: Totals, executions: int) -> Value:
    """Return what the product says in the form of this module."""
    return (
        totals.calls,
        executions,
        tuple(getattr(totals, name) for name in TOKENS),
        f"{totals.known_cost_usd:.10f}",
        totals.unpriced_calls,
        totals.cost_final,
    )


def whole_of(found: Summary) -> tuple[Value, float | None]:
    """Return the totals of a summary in the form of this module."""
    return value_of(found.totals, found.executions), found.latency_ms_per_call


def groups_of(found: Sequence[Group]) -> dict[tuple[Any, ...], Value]:
    """Return groups of a summary in the form of this module."""
    values = {tuple(group.key.values()): value_of(group.totals, group.executions) for group in found}
    assert len(values) == len(found)
    return values
