"""Connection parameters of Django's database, for connections outside of Django."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection


def connection_parameters() -> dict[str, Any]:
    """Return psycopg's keyword arguments for Django's default database (in a test: the test database)."""
    parameters = dict(connection.get_connection_params())
    for name in ("cursor_factory", "context"):  # these fit Django's own cursors only
        parameters.pop(name, None)
    return parameters


def direct_parameters() -> dict[str, Any]:
    """Return the parameters of a connection that bypasses a transaction pooler and so has a session of its own."""
    if settings.DIRECT_DATABASE:
        return dict(settings.DIRECT_DATABASE)
    return connection_parameters()
