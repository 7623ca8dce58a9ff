"""The `telemetry` app."""

from __future__ import annotations

from django.apps import AppConfig


class TelemetryConfig(AppConfig):
    """Configuration of the app."""

    name = "telemetry"
    default_auto_field = "django.db.models.BigAutoField"
