"""Budgets of the running month, as the pages of costs and of home show them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from access.selectors import Person
from telemetry.scope_budgets import visible_budgets


def budgets_of_month(user: Person, now: datetime, *, most: int, **scope: str | None) -> dict[str, Any]:
    """Return what the templates show of up to `most` budgets; they count months of UTC."""
    found = visible_budgets(user=user, now=now, limit=most + 1, **scope)
    return {
        "budgets": found[:most],
        "has_more_budgets": len(found) > most,
        "budget_month": now.astimezone(UTC).date(),
    }
