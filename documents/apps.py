"""The `documents` app."""

from __future__ import annotations

from django.apps import AppConfig


class DocumentsConfig(AppConfig):
    """Configuration of the app."""

    name = "documents"
    default_auto_field = "django.db.models.BigAutoField"
