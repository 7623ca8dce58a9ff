"""Names of values that the API has, such as statuses and roles, in the language of the page."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

#: In English each value is its own name.
NAMES: Mapping[str, Promise] = {
    # of executions, steps and calls
    "pending": pgettext_lazy("status", "pending"),
    "running": pgettext_lazy("status", "running"),
    "waiting": pgettext_lazy("status", "waiting"),
    "remediating": pgettext_lazy("status", "remediating"),
    "completed": pgettext_lazy("status", "completed"),
    "failed": pgettext_lazy("status", "failed"),
    "cancelled": pgettext_lazy("status", "cancelled"),
    "skipped": pgettext_lazy("status", "skipped"),
    "committed": pgettext_lazy("status", "committed"),
    "discarded": pgettext_lazy("status", "discarded"),
    "unknown": pgettext_lazy("status", "unknown"),
    # of invitations
    "open": pgettext_lazy("status of an invitation", "open"),
    "used": pgettext_lazy("status of an invitation", "used"),
    "withdrawn": pgettext_lazy("status of an invitation", "withdrawn"),
    "expired": pgettext_lazy("status of an invitation", "expired"),
    # roles
    "viewer": pgettext_lazy("role", "viewer"),
    "reviewer": pgettext_lazy("role", "reviewer"),
    "operator": pgettext_lazy("role", "operator"),
    "owner": pgettext_lazy("role", "owner"),
    # rights of tokens
    "read": pgettext_lazy("right", "read"),
    "answer": pgettext_lazy("right", "answer"),
    "operate": pgettext_lazy("right", "operate"),
    "author": pgettext_lazy("right", "author"),
    "manage": pgettext_lazy("right", "manage"),
    # kinds of changes
    "added": pgettext_lazy("kind of a change", "added"),
    "removed": pgettext_lazy("kind of a change", "removed"),
    "changed": pgettext_lazy("kind of a change", "changed"),
    "moved": pgettext_lazy("kind of a change", "moved"),
    # of calls
    "generate": pgettext_lazy("kind of a call", "generate"),
    "remediate": pgettext_lazy("kind of a call", "remediate"),
    "clarify": pgettext_lazy("kind of a call", "clarify"),
    "review": pgettext_lazy("kind of a call", "review"),
}


def name_of(value: object) -> str:
    """Return the name of a value; the value itself if it has none."""
    return str(NAMES.get(str(value), value))
