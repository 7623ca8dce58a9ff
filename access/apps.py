"""The `access` app."""

from __future__ import annotations

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """Configuration of the app."""

    name = "access"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the OpenAPI extensions."""
        from access import openapi  # noqa: F401, PLC0415 - its import registers the extensions
