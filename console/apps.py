"""The `console` app."""

from __future__ import annotations

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """Configuration of the app."""

    name = "console"
    default_auto_field = "django.db.models.BigAutoField"
