"""`manage.py migrate`: Django's command, which leaves a database of a development version as it is."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from orchestrator.legacy_database import LegacyDatabase, is_legacy


class Command(migrate.Command):
    """Makes the tables, and changes them for a new version."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate.

        Raises:
            LegacyDatabase: the database cannot be upgraded.
        """
        if is_legacy(connections[options["database"]]):
            raise LegacyDatabase
        super().handle(*args, **options)
