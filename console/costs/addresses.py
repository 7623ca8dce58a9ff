"""Addresses of the page of costs, and of the same sums in the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from urllib.parse import urlencode

from django.urls import reverse

from common.time import format_rfc3339
from console.costs.period import Period, first_of_month, last_of_month


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
        query = {"cross": f"day,{group or self.group}", **kept, **(more or {})}
        return f"{_path()}?{_range(first, last)}&{_encoded(tuple(query.items()))}"

    def executions(
        self, *, days: tuple[date, date] | None = None, more: Mapping[str, str] | None = None, unknown: bool = False
    ) -> str:
        """Return the address of the page with the executions of a sum."""
        shown = {"show": "executions", **({"cost": "unknown"} if unknown else {})}
        return f"{self.page(days=days, more={**(more or {}), **shown})}#executions"

    def month(self, day: date) -> str:
        """Return the address of the month of a day."""
        return self.page(days=(first_of_month(day), last_of_month(day)))

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


@cache
def _path() -> str:
    return reverse("console:costs")


@lru_cache(maxsize=1_024)  # the cells of a column differ in their days alone
def _encoded(query: tuple[tuple[str, str], ...]) -> str:
    return urlencode(query)


def _range(first: date, last: date) -> str:
    if first.day == 1 and last == last_of_month(first):
        return f"month={first.isoformat()[:7]}"
    return f"from={first.isoformat()}&to={last.isoformat()}"
