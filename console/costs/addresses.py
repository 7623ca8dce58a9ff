"""Addresses of the page of costs, and of the same sums in the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlencode

from django.urls import reverse

from common.time import format_rfc3339
from console.costs.period import Period, first_of_month, next_month


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Period, group and filters of a page, from which the addresses of other pages are made."""

    period: Period
    group: str
    filters: Mapping[str, str]

    def page(
        self,
        *,
        days: tuple[date, date] | None = None,
        group: str | None = None,
        more: Mapping[str, str] | None = None,
        without: str = "",
    ) -> str:
        """Return the address of the page.

        Args:
            days: Other days than those of the period, both included.
            group: Another group.
            more: More filters and parameters.
            without: A filter that is left out.
        """
        first, last = days or (self.period.first, self.period.last)
        kept = {name: value for name, value in self.filters.items() if name != without}
        query = {**_range(first, last, self.period), "cross": f"day,{group or self.group}", **kept, **(more or {})}
        return f"{reverse('console:costs')}?{urlencode(query)}"

    def executions(
        self, *, days: tuple[date, date] | None = None, more: Mapping[str, str] | None = None, unknown: bool = False
    ) -> str:
        """Return the address of the page with the executions of a sum."""
        shown = {"show": "executions", **({"cost": "unknown"} if unknown else {})}
        return f"{self.page(days=days, more={**(more or {}), **shown})}#executions"

    def month(self, day: date) -> str:
        """Return the address of the month of a day."""
        first = first_of_month(day)
        return self.page(days=(first, next_month(first) - timedelta(days=1)))

    def csv(self) -> str:
        """Return the address of the same sums as a CSV file of the API."""
        query = {
            "format": "csv",
            "from": format_rfc3339(self.period.since),
            "to": format_rfc3339(self.period.until),
            "tz": self.period.zone.key,
            "group_by": self.group,
            "cross": f"day,{self.group}",
            **self.filters,
        }
        return f"{reverse('telemetry-summary')}?{urlencode(query)}"


def _range(first: date, last: date, period: Period) -> dict[str, str]:
    if Period(first, last, period.zone).is_month:
        return {"month": first.isoformat()[:7]}
    return {"from": first.isoformat(), "to": last.isoformat()}
