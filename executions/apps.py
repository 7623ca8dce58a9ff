"""The `executions` app."""

from __future__ import annotations

from django.apps import AppConfig


class ExecutionsConfig(AppConfig):
    """Configuration of the app."""

    name = "executions"
    default_auto_field = "django.db.models.BigAutoField"
