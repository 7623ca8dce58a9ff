"""The `executions` app."""

from __future__ import annotations

from django.apps import AppConfig

from common.database.server import server


class ExecutionsConfig(AppConfig):
    """Configuration of the app."""

    name = "executions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the caches that have to be cleared when the server uses another database."""
        from documents.repository import KNOWN_SCHEMAS  # noqa: PLC0415 - the apps are not ready before
        from telemetry import spending  # noqa: PLC0415
        from workflows.repository import clear_definitions  # noqa: PLC0415

        for forget in (KNOWN_SCHEMAS.clear, spending.BUDGETED_SCOPES.clear, clear_definitions):
            server.on_change(forget)
