"""Databases of development versions, before 0.9. They are recognised before anything in them is changed.

From 0.9 on a database is upgraded, never made anew.
"""

from __future__ import annotations

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

from access.apps import IS_LEGACY

NAME = "of a development version before 0.9"


class LegacyDatabase(Exception):
    """The database cannot be upgraded; the message says what to do."""

    def __init__(self) -> None:
        super().__init__(f"The database is {NAME}, which cannot be upgraded. Nothing in it was changed. {advice()}")


def advice() -> str:
    """Return the sentence that says where to begin anew."""
    if settings.DATABASE_URL:
        return "Start with an empty database: make one, and set DATABASE_URL to it."
    return f"Start with an empty database: set DATA_DIR to another folder than {settings.DATA_DIR}."


def is_legacy(connection: BaseDatabaseWrapper) -> bool:
    """Return whether Django's connection leads to such a database."""
    with connection.cursor() as cursor:
        cursor.execute(IS_LEGACY)
        return bool(cursor.fetchone()[0])
