"""The `orchestrator` app."""

from __future__ import annotations

from django.apps import AppConfig


class OrchestratorConfig(AppConfig):
    """Configuration of the app."""

    name = "orchestrator"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, and complete the startup: this is the last app."""
        from orchestrator import checks, startup  # noqa: F401, PLC0415 - the import registers the checks

        startup.complete()
