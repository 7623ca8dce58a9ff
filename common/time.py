"""Points in time as text: RFC 3339 for clients, and what people write."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, tzinfo
from functools import cache
from zoneinfo import available_timezones

_DATE_LENGTH = len("2026-01-01")


def format_rfc3339(moment: datetime) -> str:
    """Return a point in time in UTC, with milliseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_datetime(value: str, tz: tzinfo) -> datetime:
    """Return an RFC 3339 time, or the midnight in `tz` that a date begins with, in UTC.

    Raises:
        ValueError: the text is neither.
        OverflowError: the year is outside the range of UTC.
    """
    if len(value) == _DATE_LENGTH:
        found = datetime.combine(date.fromisoformat(value), time())
    else:
        found = datetime.fromisoformat(value)
    return (found if found.tzinfo else found.replace(tzinfo=tz)).astimezone(UTC)


@cache
def time_zones() -> frozenset[str]:
    """Return the names of the IANA time zone database."""
    return frozenset(available_timezones() - {"localtime"})  # this machine's own: the database does not know it
