"""Time spans in words."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext, ngettext


def span(length: timedelta) -> str:
    """Return a span in its largest unit: `3 hours`."""
    if days := length // timedelta(days=1):
        return ngettext("%(count)s day", "%(count)s days", days) % {"count": days}
    if hours := length // timedelta(hours=1):
        return ngettext("%(count)s hour", "%(count)s hours", hours) % {"count": hours}
    if minutes := length // timedelta(minutes=1):
        return ngettext("%(count)s minute", "%(count)s minutes", minutes) % {"count": minutes}
    return gettext("less than a minute")


def due_words(due_at: datetime | None, now: datetime) -> str:
    """Return how long it is to a due date, or how long ago it was; empty without one."""
    if due_at is None:
        return ""
    if due_at <= now:
        return gettext("overdue by %(span)s") % {"span": span(now - due_at)}
    return gettext("due in %(span)s") % {"span": span(due_at - now)}
