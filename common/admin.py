"""Admin pages to look at, not to write in."""

from __future__ import annotations

import json

from django.http import HttpRequest
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline


class _ReadOnly:
    """Nothing can be added, changed or deleted."""

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse."""
        return False


class ReadOnlyAdmin(_ReadOnly, ModelAdmin):
    """A page of rows that the product alone writes."""


class ReadOnlyInline(_ReadOnly, TabularInline):
    """A table of rows that the product alone writes."""

    extra = 0
    can_delete = False


def pretty(value: object) -> str:
    """Return JSON for reading, escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre style="white-space: pre-wrap; max-width: 70rem">{}</pre>', text)
