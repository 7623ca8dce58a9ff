"""Points in time as text: RFC 3339, and dates."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, tzinfo
from functools import cache
from zoneinfo import available_timezones

_DATE_LENGTH = len("2026-01-01")


def format_rfc3339(moment: datetime) -> str:
    """Format a point in time in UTC, with milliseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_datetime(value: str, tz: tzinfo) -> datetime:
    """Parse an RFC 3339 time or a date, and return UTC. A date means its midnight in `tz`.

    Raises:
        ValueError: the text is neither.
        OverflowError: the time in UTC is outside of the supported years.
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
