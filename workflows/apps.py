"""The `workflows` app."""

from __future__ import annotations

from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    """Configuration of the app."""

    name = "workflows"
    default_auto_field = "django.db.models.BigAutoField"
