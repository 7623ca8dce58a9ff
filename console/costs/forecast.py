"""The forecast of a month's costs, from what its last full days have cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from console.costs.period import first_of_month, next_month, start_of

MIN_DAYS = 3  # fewer full days say nothing
MAX_DAYS = 7  # a week has working days and weekends
_DAY = timedelta(days=1)


def forecast(cost_by_day: Mapping[date, Decimal], *, now: datetime, zone: ZoneInfo) -> Decimal | None:
    """Return what the running month will have cost: what it has cost, and the mean of the last full days for the rest.

    The mean is that of the month's last `MAX_DAYS` full days. Days before the first costs are left out. The rest of
    today counts by its share of the day.

    Args:
        cost_by_day: US dollars by day of the running month. Days without costs may be missing.
        now: The time.
        zone: The time zone of the days.

    Returns:
        US dollars, or None if there are fewer than `MIN_DAYS` full days since the first costs.
    """
    today = now.astimezone(zone).date()
    days = [day for day, cost in cost_by_day.items() if cost and first_of_month(today) <= day <= today]
    count = min((today - min(days)).days if days else 0, MAX_DAYS)
    if count < MIN_DAYS:
        return None
    last = (cost_by_day.get(today - number * _DAY, Decimal(0)) for number in range(1, count + 1))
    spent = sum((cost_by_day[day] for day in days), Decimal(0))
    return spent + sum(last, Decimal(0)) / count * _days_left(today, now, zone)


def _days_left(today: date, now: datetime, zone: ZoneInfo) -> Decimal:
    """Return how many days of the month are left; the rest of today is a share of a day."""
    midnight = start_of(today + _DAY, zone)
    share = Decimal((midnight - now).total_seconds()) / Decimal((midnight - start_of(today, zone)).total_seconds())
    return (next_month(today) - today - _DAY).days + share
