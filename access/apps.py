"""The `access` app."""

from __future__ import annotations

from django.apps import AppConfig

#: Every version has made the table of scopes; from 0.9 on the same migration makes the table of users.
IS_LEGACY = "SELECT to_regclass('access_scope') IS NOT NULL AND to_regclass('access_user') IS NULL"


class AccessConfig(AppConfig):
    """Configuration of the app."""

    name = "access"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the OpenAPI extensions."""
        from access import openapi  # noqa: F401, PLC0415 - its import registers the extensions
