"""What root scopes may spend in a month, and what they have spent."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from access import multirow
from telemetry.models import ModelCall, ScopeBudget

FRESH_SECONDS = 2.0  # that a new budget may be unknown to a process that spends

_LOCK = """
SELECT scope_id, max_cost_usd FROM telemetry_scopebudget WHERE scope_id = ANY(%s) ORDER BY scope_id FOR UPDATE"""
_SPENT = """
SELECT coalesce(sum(coalesce(cost_usd, estimated_cost_usd)), 0) FROM telemetry_modelcall
WHERE scope_id = %s AND started_at >= %s AND id <> ALL(%s)"""


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


def lock(scope_ids: Iterable[UUID]) -> dict[UUID, Decimal]:
    """Return what those of the scopes that have a budget may spend in a month; they are locked, in order of id."""
    known = remembered()
    found = sorted((look() if known is None else known).intersection(scope_ids))
    return dict(multirow.execute(_LOCK, [found]).fetchall()) if found else {}


def month_of(moment: datetime) -> datetime:
    """Return the beginning of the month of UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def spent(scope_id: UUID, *, now: datetime, but: Collection[UUID] = ()) -> Decimal:
    """Return the US dollars of this month's calls without these; of those whose outcome is not known, at most."""
    [(amount,)] = multirow.execute(_SPENT, [scope_id, month_of(now), list(but)]).fetchall()
    return Decimal(amount)


def with_spent(rows: QuerySet[ScopeBudget], *, now: datetime) -> QuerySet[ScopeBudget]:
    """Return budgets with `spent_usd`, as `spent` has it, in the same query."""
    calls = ModelCall.objects.filter(scope_id=OuterRef("scope_id"), started_at__gte=month_of(now))
    sums = calls.order_by().values("scope_id").annotate(usd=Sum(Coalesce("cost_usd", "estimated_cost_usd")))
    return rows.annotate(spent_usd=Coalesce(Subquery(sums.values("usd")), Decimal(0)))


def of_scopes(scopes: QuerySet[Any, Any] | Collection[UUID]) -> QuerySet[ScopeBudget, Any]:
    """Return which of the scopes, named by their ids, may spend what in a month."""
    return ScopeBudget.objects.filter(scope_id__in=scopes).order_by("scope_id").values_list("scope_id", "max_cost_usd")


def room(scope_id: UUID, *, now: datetime) -> Decimal | None:
    """Return how many US dollars are left in this month, below 0 for too many; None: the scope has no budget."""
    budget = dict(of_scopes([scope_id])).get(scope_id)
    return None if budget is None else budget - spent(scope_id, now=now)
