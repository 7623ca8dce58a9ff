"""The `orchestrator` app."""

from __future__ import annotations

from django.apps import AppConfig


class OrchestratorConfig(AppConfig):
    """Configuration of the app."""

    name = "orchestrator"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Have the system checks known."""
        from orchestrator import checks  # noqa: F401, PLC0415 - registers them
