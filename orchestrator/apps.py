"""The `orchestrator` app."""

from __future__ import annotations

from django.apps import AppConfig


class OrchestratorConfig(AppConfig):
    """Configuration of the app."""

    name = "orchestrator"
    default_auto_field = "django.db.models.BigAutoField"
