"""Time spans in words."""

from __future__ import annotations

from datetime import datetime, timedelta

_UNITS = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)))


def span(length: timedelta) -> str:
    """Return a span in its largest unit: `3 hours`."""
    for name, unit in _UNITS:
        if count := length // unit:
            return f"{count} {name}" if count == 1 else f"{count} {name}s"
    return "less than a minute"


def due_words(due_at: datetime | None, now: datetime) -> str:
    """Return how long it is to a due date, or how long ago it was; empty without one."""
    if due_at is None:
        return ""
    return f"overdue by {span(now - due_at)}" if due_at <= now else f"due in {span(due_at - now)}"
