"""The period of the page of costs: days in the reader's time zone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MAX_DAYS = 1_830  # five years
MAX_BARS = 92  # a longer period is shown by month
_DAY = timedelta(days=1)


def first_of_month(day: date) -> date:
    """Return the first day of a day's month."""
    return day.replace(day=1)


def last_of_month(day: date) -> date:
    """Return the last day of a day's month."""
    return next_month(day) - _DAY


def next_month(day: date) -> date:
    """Return the first day of the month after a day's month."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """Return when a day begins in a time zone, in UTC: its midnight, as a date means in the API."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Period:
    """Days of a time zone, both ends included."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def since(self) -> datetime:
        """When it begins."""
        return start_of(self.first, self.zone)

    @property
    def until(self) -> datetime:
        """When it has ended."""
        return start_of(self.last + _DAY, self.zone)

    @property
    def is_month(self) -> bool:
        """Whether it is a calendar month."""
        return self.first.day == 1 and self.last == last_of_month(self.first)

    @property
    def by_month(self) -> bool:
        """Whether its parts are months, not days."""
        return (self.last - self.first).days >= MAX_BARS

    @property
    def parts(self) -> Iterator[date]:
        """The first day of each part: days, or months."""
        day = self.part_of(self.first)
        while day <= self.last:
            yield day
            day = next_month(day) if self.by_month else day + _DAY

    def part_of(self, day: date) -> date:
        """Return the first day of the part that a day belongs to."""
        return first_of_month(day) if self.by_month else day

    def days_of(self, part: date) -> tuple[date, date]:
        """Return the first and the last day of a part, within the period."""
        last = last_of_month(part) if self.by_month else part
        return max(part, self.first), min(last, self.last)
