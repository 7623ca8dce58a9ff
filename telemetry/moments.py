"""Times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, time, tzinfo

from django.utils.dateparse import parse_date, parse_datetime


def moment(value: str, tz: tzinfo) -> datetime:
    """Return an RFC 3339 time, or the midnight in `tz` that a date begins with, in UTC.

    Raises:
        ValueError: it is neither.
        OverflowError: it is in a year that UTC does not have.
    """
    day = parse_date(value) if len(value) <= len("2026-01-01") else None
    found = parse_datetime(value) if day is None else datetime.combine(day, time(), tzinfo=tz)
    if found is None:
        raise ValueError(value)
    return (found if found.tzinfo else found.replace(tzinfo=tz)).astimezone(UTC)
