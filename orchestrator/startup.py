"""What every process does before Django starts."""

from __future__ import annotations

import os

#: Commands that look at code alone.
WITHOUT_DATABASE = frozenset({"help", "version", "check", "makemigrations", "spectacular", "collectstatic", "startapp"})


def prepare(command: str | None = None) -> None:
    """Name the settings, and start the embedded PostgreSQL when the command needs a database and none is given."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
    if command in WITHOUT_DATABASE or os.environ.get("DATABASE_URL"):
        return
    from django.conf import settings  # noqa: PLC0415 - only now are they named

    from orchestrator import postgres  # noqa: PLC0415

    postgres.ensure_running(settings.DATA_DIR)
