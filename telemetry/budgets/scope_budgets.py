"""What root scopes may spend in a month, and what they have spent."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from common.database import bulk
from telemetry.ledger import CallRecord
from telemetry.models import ModelCall, ScopeBudget

FRESH_SECONDS = 2.0  # that a new budget may be unknown to a process that spends

_LOCK = """
SELECT scope_id, max_cost_usd FROM telemetry_scopebudget WHERE scope_id = ANY(%s) ORDER BY scope_id FOR UPDATE"""
_SPENT = """
SELECT coalesce(sum(coalesce(cost_usd, estimated_cost_usd)), 0) FROM telemetry_modelcall
WHERE scope_id = %s AND started_at >= %s"""


class _Limited:
    """The scopes that have a budget, looked up now and then: most have none, and pay nothing for those that do."""

    def __init__(self) -> None:
        self.ids: frozenset[UUID] = frozenset()
        self.until = 0.0


_limited = _Limited()


def forget() -> None:
    """Look up anew, with the next question, which scopes have a budget."""
    _limited.until = 0.0


def remembered() -> frozenset[UUID] | None:
    """Return the scopes that have a budget, as they were looked up a moment ago; None: that is too long ago."""
    return _limited.ids if time.monotonic() < _limited.until else None


def look() -> frozenset[UUID]:
    """Return the scopes that have a budget, looked up now."""
    forget()
    _limited.ids = frozenset(ScopeBudget.objects.values_list("scope_id", flat=True))
    _limited.until = time.monotonic() + FRESH_SECONDS
    return _limited.ids


def limited_of(scope_ids: Iterable[UUID]) -> frozenset[UUID]:
    """Return those of the scopes that have a budget, as it was a moment ago."""
    known = remembered()
    return (look() if known is None else known).intersection(scope_ids)


def lock(scope_ids: Iterable[UUID]) -> bulk.Answer[dict[UUID, Decimal]]:
    """Ask what those of the scopes that have a budget may spend in a month; they are locked, in order of id."""
    found = sorted(limited_of(scope_ids))
    return bulk.Answer(bulk.execute(_LOCK, [found]) if found else None, dict)


def month_of(moment: datetime) -> datetime:
    """Return the beginning of the month of UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def spent(scope_id: UUID, *, now: datetime) -> bulk.Answer[Decimal]:
    """Ask for the US dollars of this month's calls; of those whose outcome is not known, at most."""
    return bulk.Answer(bulk.execute(_SPENT, [scope_id, month_of(now)]), lambda rows: Decimal(rows[0][0]))


def counted(call: CallRecord) -> Decimal:
    """Return what `spent` counts a call for."""
    return call.estimated_cost_usd or Decimal(0) if call.cost_usd is None else call.cost_usd


def with_spent(rows: QuerySet[ScopeBudget], *, now: datetime) -> QuerySet[ScopeBudget]:
    """Return budgets with `spent_usd`, as `spent` has it, in the same query."""
    calls = ModelCall.objects.filter(scope_id=OuterRef("scope_id"), started_at__gte=month_of(now))
    sums = calls.order_by().values("scope_id").annotate(usd=Sum(Coalesce("cost_usd", "estimated_cost_usd")))
    return rows.annotate(spent_usd=Coalesce(Subquery(sums.values("usd")), Decimal(0)))


def rooms(scopes: QuerySet[Any, Any] | Collection[UUID], *, now: datetime) -> QuerySet[ScopeBudget, Any]:
    """Return how many US dollars those of the scopes (ids) that have a budget have left, below 0 for too many."""
    rows = with_spent(ScopeBudget.objects.filter(scope_id__in=scopes).order_by("scope_id"), now=now)
    return rows.values_list("scope_id", F("max_cost_usd") - F("spent_usd"))


def room(scope_id: UUID, *, now: datetime) -> Decimal | None:
    """Return how many US dollars are left in this month, below 0 for too many; None: the scope has no budget."""
    return dict(rooms([scope_id], now=now)).get(scope_id)
