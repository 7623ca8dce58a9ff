"""`manage.py migrate`: Django's command, which leaves a database of a development version as it is.

A migration that changes a table waits for what reads it, and all others wait behind the migration. So it gives up after
a short time, lets them go on, and begins again.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from django.core.management.commands import migrate
from django.db import OperationalError, connections
from django.db.migrations import Migration
from psycopg import errors

from orchestrator.legacy_database import LegacyDatabase, is_legacy

LOCK_MILLISECONDS = 500  # that a migration waits for a lock, and others behind it
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.5, 8.0  # until it begins again
_IN_THE_WAY = (errors.LockNotAvailable, errors.DeadlockDetected)

logger = logging.getLogger(__name__)


class Command(migrate.Command):
    """Makes the tables, and changes them for a new version."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate. As long as others hold what it needs, it tries again; what was applied stays.

        Raises:
            LegacyDatabase: the database cannot be upgraded.
        """
        self._connection = connections[options["database"]]
        if is_legacy(self._connection):
            raise LegacyDatabase
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                self._set("statement_timeout", 0)  # an index of a large table takes longer than a request may
                super().handle(*args, **options)
                return
            except OperationalError as error:
                if not isinstance(error.__cause__, _IN_THE_WAY):
                    raise
                logger.warning("a long transaction is in the way of a migration; it begins again: %s", error.__cause__)
            finally:
                self._reset("lock_timeout")
                self._reset("statement_timeout")
            time.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE_SECONDS)

    def migration_progress_callback(self, action: str, migration: Migration | None = None, fake: bool = False) -> None:
        """Limit the waits of a migration that is one transaction.

        Another one makes indexes while others write. It holds up nothing, and waits for all earlier transactions.
        """
        if action in {"apply_start", "unapply_start"} and migration is not None:
            self._set("lock_timeout", LOCK_MILLISECONDS if migration.atomic else 0)
        elif action in {"apply_success", "unapply_success"}:
            self._reset("lock_timeout")
        super().migration_progress_callback(action, migration, fake)

    def _set(self, name: str, milliseconds: int) -> None:
        """Set a limit of this session; 0: no limit, whatever the role or the URL says."""
        with self._connection.cursor() as cursor:
            cursor.execute(f"SET {name} = {milliseconds:d}")

    def _reset(self, name: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(f"RESET {name}")
